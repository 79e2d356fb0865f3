"""A process of a group comes to its end, whatever gloo's threads are still doing."""
import os
import subprocess
import sys

from ..cli.tiny import ROOT, free_port

BUSY_TO_THE_END = '''
import torch
import torch.distributed as dist
from mmdet_lordre.cli.main import one_line_errors
from mmdet_lordre.errors import UserError

def main():
    dist.init_process_group('gloo')
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(100, 100))
    model(torch.ones(1, 100)).sum().backward()
    for _ in range(20):
        dist.all_reduce(torch.ones(100_000), async_op=True)
    if {fails} and dist.get_rank() == 1:
        raise UserError('as asked for')
    return model

one_line_errors(main)()
print('taken down')
'''


def run_both(fails):
    port, running = free_port(), []
    for rank in '01':
        env = dict(os.environ, RANK=rank, WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                   MASTER_PORT=port, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
        running.append(subprocess.Popen(
            [sys.executable, '-c', BUSY_TO_THE_END.format(fails=fails)], env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    try:
        outputs = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(running, outputs)]


def test_ends_with_its_status():
    for status, out, err in run_both(fails=False):
        assert (status, out) == (0, ''), err


def test_an_error_keeps_its_line_and_status():
    (_, (status, _, err)) = run_both(fails=True)
    assert status == 1 and 'error: as asked for' in err
