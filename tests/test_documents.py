"""What README and docs tell a reader to type runs, and what they point to is there.

Configs in them are built and make a training step, programs are run on small inputs, and every
command line goes through the parser of its command.
"""
import argparse
import ast
import functools
import importlib
import re
import runpy
import shlex
import sys
from pathlib import Path
from unittest.mock import create_autospec

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader

import mmdet_lordre  # noqa: F401 - registers the models
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.errors import UserError
from mmdet_lordre.models import head_of
from mmdet_lordre.segmenter import Segmenter
from mmdet_lordre_command import COMMANDS
from tests.cli.tiny import NAMES, write_config
from tests.configs.steps import HEIGHT, WIDTH, sample
from tests.parity.case import OWN_CASES, ParityCase

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'SECURITY.md', *sorted(ROOT.glob('docs/*.md')),
         *sorted(ROOT.glob('configs/*/README.md'))]
#: Where a command line begins, after settings such as ``OMP_NUM_THREADS=1``.
COMMAND = re.compile(r'(?:[A-Z_]+=\S+ )*(?:python|bash|lordre|make|pip|mim|tools/\S+\.(?:sh|py)) .')
#: British spellings; names of earlier configs keep theirs.
BRITISH = re.compile(r'\b\w*(?:colour|\bcentre|(?<!num_)neighbour|behaviour|'
                     r'(?:normal|initial|optim|general|visual|organ|recogn|summar|util|minim|maxim)is(?:e|ed|es|ing|ation)\b|'
                     r'licence|\bgrey\b|spelt|learnt)\w*', re.IGNORECASE)
#: Options that a page names and that belong to somebody else's program.
FOREIGN = {'--no-build-isolation'}


class Parsed(Exception):
    """A parser has taken a command line."""

    def __init__(self, parser, args):
        super().__init__()
        self.parser, self.options = parser, args


def blocks(language):
    """(page, line, text) of the fenced blocks of a language."""
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r'^```(\w*)\n(.*?)^```', text, re.M | re.S):
            if match[1] == language:
                yield page, text[:match.start()].count('\n') + 1, match[2]


def snippets(kind):
    """Python blocks: configs are assignments alone, programs import something."""
    for page, line, text in blocks('python'):
        program = any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in
                      ast.parse(text).body)
        if program == (kind == 'program'):
            yield pytest.param(text, id=f'{page.relative_to(ROOT)}:{line}')


def command_lines():
    """(id, line) of every command in blocks, indented lines and code spans."""
    for page in PAGES:
        text = re.sub(r'^```(python|text)\n.*?^```', '', page.read_text(), flags=re.M | re.S)
        text = re.sub(r'^```.*\n', '\n', text, flags=re.M)
        joined = re.sub(r'\\\n\s*', ' ', text)
        found = [line.strip().split(' > ')[0] for line in joined.splitlines()]
        spans = [' '.join(span.split()) for span in re.findall(r'`([^`]+)`', joined)]
        for number, line in enumerate(dict.fromkeys(found + spans)):
            if COMMAND.match(line) and not re.search(
                    r'(tools/|lordre )NAME|^lordre solov2 aggmask', line):
                yield pytest.param(line, line not in found,
                                   id=f'{page.relative_to(ROOT)}-{number}')


def pseudo_weights(filename, map_location=None):
    """Stands for any file of the authors: nothing to load, so that weights stay random."""
    return dict(state_dict={}, meta=dict(dataset_meta=dict(classes=NAMES)))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with the files that snippets name; nothing is downloaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(CheckpointLoader._schemes, 'published://', pseudo_weights)
    # no C++ compiler for what is compiled
    monkeypatch.setattr(torch, 'compile', functools.partial(torch.compile, backend='eager'))
    # no minutes of training: names and arguments are looked at, of what is done with it as well
    trained = create_autospec(Segmenter, instance=True)
    trained.predict.return_value = []
    monkeypatch.setattr(Segmenter, 'train', create_autospec(Segmenter.train,
                                                            return_value=trained))
    init_default_scope('mmdet')
    cv2.imwrite('street.jpg', np.random.default_rng(0).integers(0, 255, (32, 256, 3), np.uint8))
    write_config('config.py')
    model = MODELS.build(Config.fromfile('config.py').model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), 'checkpoint.pth')
    case = ParityCase(OWN_CASES / 'solov2_light.json')
    torch.save(dict(state_dict=case.tensors()), 'published.pth')
    return tmp_path


def parse(name, argv, monkeypatch):
    """What the parser of a command makes of arguments; fails if it refuses them.

    Args:
        name: one of ``COMMANDS``, or the path of a script.
        argv: the arguments; None to get the parser alone.
    """
    original = argparse.ArgumentParser.parse_args

    def parse_args(self, args=None, namespace=None):
        raise Parsed(self, None if argv is None else original(self, args, namespace))

    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)
        with pytest.raises(Parsed) as parsed:
            if isinstance(name, Path):
                patch.setattr(sys, 'argv', [str(name), *(argv or [])])
                patch.setattr(sys, 'path', [str(name.parent), *sys.path])
                runpy.run_path(str(name), run_name='__main__')
            else:
                command = importlib.import_module(f'mmdet_lordre.cli.{name.replace("-", "_")}')
                command.main(argv)
    return parsed.value


def follow(value, key):
    """A value of a config by its dotted key; None where it is not there."""
    for part in key.split('.'):
        try:
            value = value[int(part)] if isinstance(value, (list, tuple)) else value[part]
        except (KeyError, IndexError, ValueError):
            return None
    return value


def check_arguments(args):
    """Files of the project that a command line names are there, and so are the keys it sets."""
    for value in vars(args).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str) and re.match(r'(configs|docs|tools)/', item):
                assert (ROOT / item).exists(), item
    if getattr(args, 'cfg_options', None) and args.config.startswith('configs/'):
        cfg = load_config(str(ROOT / args.config))
        for key in args.cfg_options:
            assert follow(cfg, key) is not None, f'{args.config} has no {key}'


def run_command_line(line, monkeypatch):
    # what may be left out is given, and sizes are numbers
    line = re.sub(r'(?<!\S)\[([-A-Z][^]]*)\]', r'\1', line).replace(' H W', ' 640 864')
    words = shlex.split(line, comments=True)
    while re.match(r'[A-Z_]+=', words[0]):
        words.pop(0)
    if words[0] in ('python', 'bash'):
        words.pop(0)
    program, *argv = words
    if program == 'make':
        assert re.search(rf'^{argv[0]}:', (ROOT / 'Makefile').read_text(), re.M), line
    elif program == 'pip':
        extra = re.search(r'\[(\w+)\]', line)
        pyproject = (ROOT / 'pyproject.toml').read_text()
        assert argv[0] == 'install'
        assert extra is None or re.search(rf'^{extra[1]} = \[', pyproject, re.M), line
    elif program == '-c':
        compile(argv[0], line, 'exec')
    elif program == 'mim':
        action, package, *rest = argv
        assert package == 'mmdet_lordre'
        parse(action, rest, monkeypatch)
    elif program == 'lordre':
        assert argv[0] in COMMANDS or argv == ['--help'], line
        if argv[0] in COMMANDS:
            check_arguments(parse(argv[0], argv[1:], monkeypatch).options)
    elif program == 'tools/wheelhouse.sh':
        assert len(argv) == 2, line
    elif program.endswith('.sh'):
        assert (ROOT / program).is_file(), line
        # config (and checkpoint), number of processes, options
        launcher, name = re.fullmatch(r'tools/(dist|slurm)_(predict|test|train)\.sh',
                                      program).groups()
        place = 1 if name == 'train' else 2
        if launcher == 'slurm':  # partition and job come first, the number of processes from GPUS
            argv = argv[2:]
        else:
            assert argv[place].isdigit(), line
            argv = argv[:place] + argv[place + 1:]
        if name == 'predict':
            argv = [argv[0], '--model', *argv[1:]]
        check_arguments(parse(name, argv, monkeypatch).options)
    else:
        path = ROOT / program
        assert path.is_file(), line
        name = path.stem.replace('_', '-')
        if path.parent.name == 'tools' and name in COMMANDS:
            check_arguments(parse(name, argv, monkeypatch).options)
        elif path.parent.name == 'examples':
            main = runpy.run_path(str(path))['main']
            assert len(argv) <= main.__code__.co_argcount, line
        else:
            parse(path, argv, monkeypatch)


@pytest.mark.parametrize('line, in_a_sentence', command_lines())
def test_a_command_line_is_taken_by_its_parser(line, in_a_sentence, monkeypatch):
    try:
        run_command_line(line, monkeypatch)
    except UserError as error:
        # a sentence may name a command without all that it needs
        if not in_a_sentence or 'arguments are required' not in str(error):
            raise


@pytest.mark.parametrize('line, error', [
    ('python tools/train.py CONFIG --no-such-option', UserError),
    ('python tools/nothing.py CONFIG', AssertionError),
    ('lordre nothing x', AssertionError),
    ('make nothing', AssertionError),
    ("pip install -e '.[nothing]'", AssertionError),
    ('tools/dist_train.sh configs/nothing.py 8', AssertionError),
    ('python tools/train.py configs/lordre/lordre_r18_giam_shapes.py --cfg-options maxiters=1',
     AssertionError),
    ('python benchmarks/grid.py --nothing', SystemExit)])
def test_a_wrong_command_line_is_found(line, error, monkeypatch):
    assert COMMAND.match(line)
    with pytest.raises(error):
        run_command_line(line, monkeypatch)


@pytest.mark.parametrize('text', snippets('config'))
def test_a_config_is_built_and_makes_a_step(text, workplace):
    Path('mine.py').write_text(text)
    cfg = load_config('mine.py')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if 'published://' in text:
        model.backbone.init_weights()
    model.train()
    images, truth = torch.rand(1, 3, HEIGHT, WIDTH), sample(head_of(model).num_classes)
    total, _ = model.parse_losses(model.loss(images, [truth]))
    total.backward()
    assert total.isfinite() and any(p.grad is not None for p in model.backbone.parameters())
    model.eval()
    with torch.no_grad():
        result, = model.predict(images, [truth], rescale=True)
    assert {'scores', 'labels', 'masks'} <= set(result.pred_instances.keys())


@pytest.mark.parametrize('text', snippets('program'))
def test_a_program_runs(text, workplace):
    names = {}
    exec(compile(text, 'snippet', 'exec'), names)
    if 'out_dir' in text:
        assert list(Path('drawn').rglob('street.jpg'))


def test_there_are_snippets_of_every_kind():
    assert len(list(snippets('config'))) >= 4 and len(list(snippets('program'))) >= 4
    assert len(list(command_lines())) >= 60


def test_options_that_pages_name_exist(monkeypatch):
    known = set(FOREIGN)
    programs = [*COMMANDS, *sorted((ROOT / 'benchmarks').glob('*.py')),
                ROOT / 'tools/quickstart.py', ROOT / 'tools/make_model_zoo.py']
    for name in programs:
        if name in COMMANDS or 'ArgumentParser' in name.read_text():
            known |= set(parse(name, None, monkeypatch).parser._option_string_actions)
    for page in PAGES:
        named = {option for span in re.findall(r'`([^`]+)`', page.read_text())
                 for option in re.findall(r'(?<!\S)--[a-z][\w-]*', span)}
        assert named <= known, (page, sorted(named - known))


@pytest.mark.parametrize('kind', ['pages', 'mmdet_lordre', 'configs'])
def test_spelling_is_american(kind):
    files = PAGES if kind == 'pages' else sorted(
        path for path in (ROOT / kind).rglob('*')
        if path.suffix in ('.py', '.html', '.yml') and path.name != 'spelling.py')
    assert files and BRITISH.search('two coloured centres') and BRITISH.search('normalised')
    for file in files:
        assert not BRITISH.search(file.read_text()), (file, BRITISH.search(file.read_text())[0])


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_points_to_is_there(page):
    text = page.read_text()
    for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', text):
        if not target.startswith('http'):
            assert (page.parent / target).exists(), target
    for place, anchor in re.findall(r'\]\(([^)#\s]*)#([^)]+)\)', text):
        other = (page.parent / place).read_text() if place else text
        headings = {re.sub(r'[^\w -]', '', h.lower()).strip().replace(' ', '-')
                    for h in re.findall(r'^#+ (.+)$', other, re.M)}
        assert place.startswith('http') or anchor in headings, anchor
    prose = re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)
    for span in re.findall(r'`([^`\n]+)`', prose):
        if re.fullmatch(r'(mmdet_lordre|tools|benchmarks|tests|docs|configs)/[\w./-]*', span):
            assert (ROOT / span).exists(), span
        if re.fullmatch(r'mmdet_lordre(\.\w+)+', span):
            module, _, name = span.rpartition('.')
            try:
                importlib.import_module(span)
            except ImportError:
                assert hasattr(importlib.import_module(module), name), span
