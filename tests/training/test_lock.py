"""Two trainings in one work folder."""
import errno
import os
import signal
import subprocess
import sys

import pytest

from mmdet_lordre.errors import UserError
from mmdet_lordre.training import lock
from mmdet_lordre.training.lock import LOCK, work_folder

from ..cli.tiny import ROOT

OTHER = '''
import os, sys
from mmdet_lordre.training.lock import work_folder
with work_folder(sys.argv[1]):
    child = os.fork()  # as a process that loads data, which outlives its master
    if child == 0:
        os.close(1)
        sys.stdin.read()
        os._exit(0)
    print(os.getpid(), child, flush=True)
    sys.stdin.read()
'''


@pytest.fixture
def other(tmp_path):
    """(folder, process that trains there, number of its child)."""
    folder = tmp_path / 'work'
    process = subprocess.Popen([sys.executable, '-c', OTHER, str(folder)], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))
    _, child = map(int, process.stdout.readline().split())
    yield folder, process, child
    process.kill()
    process.wait()
    os.kill(child, signal.SIGKILL)


@pytest.mark.linux
def test_the_second_names_the_first_and_a_killed_one_has_none(other):
    folder, process, _ = other
    with pytest.raises(UserError) as error, work_folder(str(folder)):
        pass
    text = str(error.value)
    assert f'another training writes to {folder}: process {process.pid} on ' in text
    assert os.uname().nodename in text and 'since 20' in text and '--work-dir' in text
    assert (folder / LOCK).exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with work_folder(str(folder)):
        assert f'"pid": {os.getpid()}' in (folder / LOCK).read_text()
    assert not (folder / LOCK).exists() and folder.exists()


def test_nothing_is_left(tmp_path):
    """Of a folder that nothing was written to, also when an error ended it."""
    with work_folder(f'{tmp_path}/a/b'):
        assert os.path.isdir(f'{tmp_path}/a/b')
    assert not os.path.exists(f'{tmp_path}/a/b')
    with pytest.raises(ZeroDivisionError), work_folder(f'{tmp_path}/c'):
        with open(f'{tmp_path}/c/log', 'w') as file:
            file.write('text')
        raise ZeroDivisionError
    assert os.listdir(f'{tmp_path}/c') == ['log']


@pytest.mark.parametrize('place', ['file', 'file/below'])
def test_a_file_where_the_folder_should_be(tmp_path, place):
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match=rf'{tmp_path}/{place} cannot be used: .*--work-dir'), \
            work_folder(f'{tmp_path}/{place}'):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, 'No locks available')
    monkeypatch.setattr(lock.fcntl, 'lockf', refuse)
    said = []
    with work_folder(f'{tmp_path}/w', said.append):
        pass
    assert len(said) == 1 and 'does not support locks (No locks available)' in said[0]
