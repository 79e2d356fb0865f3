"""The house of docs/architecture.md: imports point down, files are small, functions have types."""
import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'mmdet_lordre'
PAGE = ROOT / 'docs' / 'architecture.md'

#: From the ground up; rooms of one floor do not import each other. The same as the page's.
FLOORS = [
    ['masks', 'visualization', 'errors', 'text', 'compat', 'registry', 'model_index', 'launchers',
     'timing'],
    ['grid', 'backbones', 'evaluation', 'files', 'devices'],
    ['lordre', 'solov2', 'aggmask', 'polarmask', 'datasets', 'checkpoints', 'pages'],
    ['config'],
    ['models', 'training'],
    ['deployment'],
    ['analysis', 'prediction', 'patches', 'reporting', 'browsing'],
    ['planning'],
    ['segmenter'],
    ['__init__'],
    ['cli'],
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
METHODS = ('lordre', 'solov2', 'aggmask', 'polarmask')
LINES = 400


def module_files(root):
    """``{dotted name: file}`` of the package under a folder."""
    found = {}
    for path in sorted((root / PACKAGE).rglob('*.py')):
        parts = path.relative_to(root).with_suffix('').parts
        if '.mim' not in parts:
            found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
    return found


def imports(name, path, files):
    """Modules of the package that a file imports, at its top or inside a function."""
    package = name.split('.') if path.name == '__init__.py' else name.split('.')[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[:len(package) - node.level + 1] if node.level else []
            base = '.'.join(above + ([node.module] if node.module else []))
            for alias in node.names:
                part = f'{base}.{alias.name}'
                found.add(part if part in files else base)
    return {other for other in found if other in files and other != name}


def room(name):
    return (name.split('.') + ['__init__'])[1]


def upward_arrows(root):
    """Imports between rooms that do not lead to a lower floor, in words."""
    files = module_files(root)
    return [f'{name} (floor {FLOOR[room(name)] + 1}) imports {other} '
            f'(floor {FLOOR[room(other)] + 1})'
            for name, path in files.items() for other in sorted(imports(name, path, files))
            if room(name) != room(other) and FLOOR[room(other)] >= FLOOR[room(name)]]


def circle(root):
    """Files that import each other in a circle, or None."""
    files = module_files(root)
    graph = {name: imports(name, path, files) for name, path in files.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def public_functions(path):
    """Functions and methods that a file shows to others."""
    def visit(body, method):
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
                yield from visit(node.body, True)
            elif isinstance(node, ast.FunctionDef) and (
                    node.name == '__init__' or not node.name.startswith('_')):
                static = any(isinstance(d, ast.Name) and d.id == 'staticmethod'
                             for d in node.decorator_list)
                yield node, method and not static
    yield from visit(ast.parse(path.read_text()).body, False)


def untyped(path):
    """Public functions of a file with an argument or a result of no stated type."""
    found = []
    for node, method in public_functions(path):
        arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        bare = [a.arg for a in arguments[method:] if a.annotation is None]
        if bare or (node.returns is None and node.name != '__init__'):
            found.append(f'{path}:{node.lineno} {node.name}: {", ".join(bare) or "its result"}')
    return found


def test_every_room_has_a_floor():
    assert {room(name) for name in module_files(ROOT)} == set(FLOOR)


def test_the_page_has_the_same_floors():
    drawing = re.search(r'```text\n(.*?)```', PAGE.read_text(), re.S)[1]
    drawn, floor = {}, None
    for number, rooms in re.findall(r'^ *(\d*) *\|(.*?)\|', drawing, re.M):
        floor = int(number) if number else floor
        drawn.setdefault(floor, []).extend(rooms.split())
    assert drawn == {floor + 1: rooms for floor, rooms in enumerate(FLOORS)}


def test_no_import_points_up():
    assert not upward_arrows(ROOT)


def test_no_method_imports_another():
    files = module_files(ROOT)
    for name, path in files.items():
        if room(name) in METHODS:
            others = {room(other) for other in imports(name, path, files)} - {room(name)}
            assert others <= {'grid', 'masks', 'compat', 'errors', 'text', 'registry'}, name


def test_no_circle_of_files():
    assert circle(ROOT) is None


def test_the_package_does_not_need_the_program():
    program = ROOT / 'mmdet_lordre_command.py'
    assert program.is_file() and not untyped(program)
    for path in module_files(ROOT).values():
        assert not re.search(r'(from|import) mmdet_lordre_command', path.read_text()), path


def test_tools_call_the_commands_and_nothing_else():
    shells = [path for path in (ROOT / 'tools').glob('*.py')
              if path.stem not in ('make_model_zoo', 'make_shapes', 'quickstart')]
    assert len(shells) >= 10
    for path in shells:
        assert set(re.findall(r'from (mmdet_lordre\S*)', path.read_text())) == {
            'mmdet_lordre_command'}, path


@pytest.mark.parametrize('name', module_files(ROOT))
def test_files_are_small(name):
    assert len(module_files(ROOT)[name].read_text().splitlines()) <= LINES


@pytest.mark.parametrize('name', FLOOR)
def test_public_functions_say_their_types(name):
    paths = [path for module, path in module_files(ROOT).items() if room(module) == name]
    assert not [line for path in paths for line in untyped(path)]


class TestTheTestsThemselves:
    """What they look for is found."""

    @pytest.fixture
    def house(self, tmp_path):
        for file, text in {
                '__init__.py': '', 'grid/__init__.py': 'from . import a', 'grid/a.py': '',
                'masks/__init__.py': 'def f(x):\n    return x\n',
                'lordre/__init__.py': 'from ..grid.a import x\n'}.items():
            path = tmp_path / PACKAGE / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    def test_a_house_in_order(self, house):
        assert not upward_arrows(house) and circle(house) is None

    @pytest.mark.parametrize('line', [
        'from ..lordre import y', 'from .. import lordre', 'import mmdet_lordre.lordre',
        'from mmdet_lordre.lordre import y', 'def f():\n    from ..lordre import y'])
    def test_an_import_that_points_up(self, house, line):
        (house / PACKAGE / 'grid' / 'a.py').write_text(line)
        assert upward_arrows(house) == [
            'mmdet_lordre.grid.a (floor 2) imports mmdet_lordre.lordre (floor 3)']
        assert set(circle(house)) == {'mmdet_lordre.grid.a', 'mmdet_lordre.lordre'}

    def test_a_circle_within_a_room(self, house):
        (house / PACKAGE / 'grid' / 'b.py').write_text('from . import a')
        (house / PACKAGE / 'grid' / 'a.py').write_text('from .b import x')
        assert not upward_arrows(house) and circle(house)

    def test_a_function_without_types(self, house):
        path = house / PACKAGE / 'masks' / '__init__.py'
        assert [line.split(' ', 1)[1] for line in untyped(path)] == ['f: x']
        path.write_text('class A:\n    def f(self):\n        pass\n\n    def _g(self, x):\n'
                        '        pass\n')
        assert [line.split(' ', 1)[1] for line in untyped(path)] == ['f: its result']
        path.write_text('def f(x: int) -> int:\n    return x\n')
        assert not untyped(path)
