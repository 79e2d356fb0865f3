"""What importing the package changes elsewhere, what ``secure`` changes, and nothing else."""
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mmengine
import pytest
import torch

from mmdet_lordre.compat import parse_version
from mmdet_lordre.patches import BY_SECURE, ON_IMPORT

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    """Of a process of its own, in which nothing was imported before."""
    folder = tmp_path_factory.mktemp('importing')
    subprocess.run([sys.executable, '-W', 'ignore', '-m', 'tests.importing', str(folder)],
                   cwd=ROOT, check=True, timeout=600,
                   env=os.environ | dict(PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))
    return json.loads((folder / 'report.json').read_text())


def last_two(names):
    return {'.'.join(name.split('.')[-2:]) for name in names}


def test_importing_adds_two_entries_and_registers(report):
    assert report['looked_at'] > 1e5 and not report['new_modules']
    # the table of packages has two names; loaders are registered in the last
    assert last_two(report['changed']) == {
        '_weights_only_unpickler._marked_safe_globals_set', 'utils.MODULE2PACKAGE',
        'utils.PKG2PROJECT', 'infer.MODULE2PACKAGE', 'registry.MODULE2PACKAGE',
        'CheckpointLoader._schemes'}
    assert report['schemes'] == ['published://'] and report['packages'] == ['mmdet_lordre']


def test_what_torch_is_told_to_allow_is_data(report):
    actions = [name for name in report['allowed'] if 'numpy' not in name]
    assert len(actions) == 2 and any('HistoryBuffer' in name for name in actions)
    assert any('_history_statistic' in name for name in actions)


def test_mmengines_runner_goes_on_from_its_own_checkpoints(report):
    """Without ``weights_only=False``, and with the history of its losses."""
    assert report['resumed'] == [True, 3, 3]


def test_other_projects_load_as_before(report):
    assert 'fromkeys' in report['allowed_by_its_program']
    assert 'fromkeys' in report['loads']


def test_secure_changes_what_it_says(report):
    assert last_two(report['secured']) == last_two(change.name for change in BY_SECURE) | {
        '_weights_only_unpickler._marked_safe_globals_set'}  # cleared before, by this test
    assert report['loads_secured'] == 'UnpicklingError'
    # made anew, with the same in them
    assert last_two(report['twice']) <= {'CheckpointLoader._schemes',
                                         '_weights_only_unpickler._marked_safe_globals_set'}


@pytest.mark.parametrize('change', ON_IMPORT + BY_SECURE, ids=lambda change: change.name)
def test_what_is_changed_is_there_and_the_page_says_it(change):
    """A library that renames it fails here, before a patch goes nowhere."""
    parts = change.name.split('.')
    for end in range(len(parts) - 1, 0, -1):
        try:
            thing = importlib.import_module('.'.join(parts[:end]))
            break
        except ImportError:
            continue
    for part in parts[end:]:
        thing = getattr(thing, part)
    assert thing is not None
    library, lowest, highest = re.fullmatch(r'(\w+) ([\d.]+) to ([\d.]+)',
                                            change.versions).groups()
    installed = parse_version(dict(torch=torch, mmengine=mmengine)[library].__version__)
    assert parse_version(lowest) <= installed
    assert installed <= parse_version(highest) + (99,), f'look whether {change.name} still does'
    row = f'| `{change.name}` | {change.versions} |'
    assert row in (ROOT / 'docs' / 'architecture.md').read_text()


def test_what_mmengine_does_with_them():
    """The parts of mmengine that the changes rely on."""
    source = Path(mmengine.__file__).parent / 'runner' / 'checkpoint.py'
    text = source.read_text()
    assert 'torch.load(' in text and 'load_url(' in text
    assert "register_scheme(prefixes='')" in text
    text = (source.parents[1] / 'fileio' / 'handlers' / 'yaml_handler.py').read_text()
    assert "setdefault('Loader', Loader)" in text
