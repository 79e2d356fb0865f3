"""No process that loads data is left behind."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmdet_lordre.training.workers import guard_workers

from ..cli.tiny import ROOT

MASTER = '''
import sys
from torch.utils.data import DataLoader
from mmdet_lordre.training.workers import guard_workers

class Large(list):
    """More than a pipe holds, as a batch of masks is."""
    def __getitem__(self, index):
        return bytes(1_000_000)

loader = guard_workers(DataLoader(Large(range(100)), num_workers=2, collate_fn=list))
iterator = iter(loader)
next(iterator)
print(*(worker.pid for worker in iterator._workers), flush=True)
sys.stdin.read()
'''


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # one that ended and that nobody has asked for yet; only Linux has the file
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except FileNotFoundError:
        return not Path('/proc/self').exists()
    return state != 'Z'


@pytest.mark.linux
def test_they_end_with_a_killed_master():
    master = subprocess.Popen(
        [sys.executable, '-c', MASTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'))
    workers = [int(pid) for pid in master.stdout.readline().split()]
    assert len(workers) == 2 and all(map(alive, workers))
    master.kill()
    master.wait()
    end = time.monotonic() + 60
    try:
        while any(map(alive, workers)) and time.monotonic() < end:
            time.sleep(0.1)
        assert not any(map(alive, workers))
    finally:
        for pid in filter(alive, workers):
            os.kill(pid, signal.SIGKILL)


class Handlers:
    """What happens on Ctrl-C in the process that loads."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return int(signal.getsignal(signal.SIGINT) is signal.SIG_IGN), os.environ.get('SEEN', '')


def test_they_ignore_ctrl_c_and_start_as_told():
    def start(worker):
        os.environ['SEEN'] = f'worker {worker}'

    loader = guard_workers(torch.utils.data.DataLoader(
        Handlers(), num_workers=1, worker_init_fn=start, collate_fn=list))
    assert list(loader) == [[(1, 'worker 0')], [(1, 'worker 0')]]


#: In a process of its own: torch remembers how many threads it has started first.
OUTLIVES = '''
import os, sys, torch
torch.set_num_threads(int(sys.argv[1]))
from tests.training.test_workers import outlive_sigterm
outlive_sigterm()
'''


def outlive_sigterm():
    """SIGTERM to a loading process, from another one and from its master."""
    loader = iter(guard_workers(torch.utils.data.DataLoader(
        Handlers(), num_workers=1, collate_fn=list, persistent_workers=True)))
    next(loader)
    worker, = loader._workers
    subprocess.run(['kill', '-TERM', str(worker.pid)], check=True)
    time.sleep(0.2)
    assert len(list(loader)) == 1 and worker.is_alive()
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 0


@pytest.mark.linux
@pytest.mark.parametrize('threads', ['1', '3'])
def test_they_outlive_sigterm_of_others(threads):
    """As `timeout` and Slurm send it to the whole group; their master's own is obeyed. Where torch
    has several threads, it starts as many in each forked process."""
    done = subprocess.run([sys.executable, '-c', OUTLIVES, threads], text=True, cwd=ROOT,
                          capture_output=True, env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr
