"""``lordre`` before mmdet is loaded: what it says without, and Ctrl-C meanwhile."""
import os
import runpy
import subprocess
import sys

import pytest

import mmdet_lordre.cli.main  # noqa: F401 - as it is loaded where a command runs

from .tiny import ROOT

CONSOLE = 'import mmdet_lordre_command as command; command.console()'
MODULE = 'import runpy; runpy.run_module("mmdet_lordre_command", run_name="__main__")'
TOOL = f'import runpy; runpy.run_path({str(ROOT / "tools" / "check.py")!r}, run_name="__main__")'
#: Whoever runs the tests may have it ignored.
HEARD = 'import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n'
#: Some library catches whatever is raised while it is imported.
LOADING = '''
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
except BaseException:
    pass
'''
COMMAND = '''
import signal

def run(name, argv):
    print(name, argv, signal.getsignal(signal.SIGINT) == signal.SIG_IGN)
    signal.raise_signal(signal.SIGINT)
'''


def python(code, *args, cwd):
    done = subprocess.run([sys.executable, '-c', code, *args], capture_output=True, text=True,
                          timeout=120, cwd=cwd, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def package(tmp_path):
    """In the place of the package: one that is interrupted while it loads."""
    (tmp_path / 'mmdet_lordre' / 'cli').mkdir(parents=True)
    (tmp_path / 'mmdet_lordre' / '__init__.py').write_text(LOADING)
    (tmp_path / 'mmdet_lordre' / 'cli' / '__init__.py').write_text('')
    (tmp_path / 'mmdet_lordre' / 'cli' / 'main.py').write_text(COMMAND)
    return tmp_path


@pytest.mark.parametrize('program', [CONSOLE, MODULE])
@pytest.mark.parametrize('word, status', [('--help', 0), ('--version', 0), ('predcit', 2)])
def test_nothing_is_loaded(program, word, status):
    after = 'import sys, atexit; atexit.register(lambda: print(*sys.modules))\n'
    ended, out, err = python(after + program, word, cwd=ROOT)
    assert ended == status and not {'torch', 'mmdet', 'numpy', 'mmdet_lordre'} & set(out.split())
    assert err.startswith("error: no such command: 'predcit' (did you mean predict?); choose from "
                          'plan, train, ') if status else not err


def test_the_module_beneath_is_no_program():
    with pytest.raises(SystemExit, match='python -m mmdet_lordre_command COMMAND'), \
            pytest.warns(RuntimeWarning, match='found in sys.modules'):
        runpy.run_module('mmdet_lordre.cli.main', run_name='__main__')


@pytest.mark.linux
@pytest.mark.parametrize('program', [CONSOLE, TOOL])
def test_interrupted_while_loading(package, program):
    assert python(HEARD + program, 'check', cwd=package) == (130, '', 'interrupted\n')


@pytest.mark.linux
def test_where_interrupts_are_ignored_they_still_are(package):
    deaf = 'import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n'
    assert python(deaf + CONSOLE, 'check', cwd=package) == (0, 'check None True\n', '')


def test_once_loaded_a_command_hears_of_interrupts(package):
    (package / 'mmdet_lordre' / '__init__.py').write_text('')
    status, out, err = python(HEARD + CONSOLE, 'check', cwd=package)
    assert status and out == 'check None False\n' and err.endswith('KeyboardInterrupt\n')
