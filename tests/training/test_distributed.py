"""A process of a group comes to its end, whatever gloo's threads are still doing."""
import os
import subprocess
import sys

import pytest
import torch.distributed

from mmdet_lordre.errors import UserError
from mmdet_lordre.training.distributed import first_machine, init_cpu_group

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


def run_both(program):
    """(status, stdout, stderr) of the two processes of a group that run a program."""
    port, running = free_port(), []
    for rank in '01':
        env = dict(os.environ, RANK=rank, WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                   MASTER_PORT=port, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
        running.append(subprocess.Popen(
            [sys.executable, '-c', program], env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    try:
        outputs = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(running, outputs)]


def test_ends_with_its_status():
    for status, out, err in run_both(BUSY_TO_THE_END.format(fails=False)):
        assert (status, out) == (0, ''), err


def test_an_error_keeps_its_line_and_status():
    (_, (status, _, err)) = run_both(BUSY_TO_THE_END.format(fails=True))
    assert status == 1 and 'error: as asked for' in err


SLURM = dict(SLURM_PROCID='3', SLURM_NTASKS='4', SLURM_LOCALID='1', WORLD_SIZE='4')
MPI = dict(OMPI_COMM_WORLD_RANK='3', OMPI_COMM_WORLD_SIZE='4', OMPI_COMM_WORLD_LOCAL_RANK='1',
           WORLD_SIZE='4')


@pytest.mark.parametrize('nodes, first', [
    ('node7', 'node7'), ('node[003-005,9]', 'node003'), ('a1,b[2-3]', 'a1'),
    ('rack[2-3]n[01-16].cluster,other', 'rack2n01.cluster'), ('b[4,7],a1', 'b4'),
    ('gpu-node-1,gpu-node-2', 'gpu-node-1')])
def test_the_first_machine_of_slurm(nodes, first):
    environ = dict(SLURM, SLURM_JOB_NODELIST=nodes)
    assert first_machine('slurm', environ) == first
    # a step may run on a part of the job's machines
    assert first_machine('slurm', dict(environ, SLURM_STEP_NODELIST='part[5-6]')) == 'part5'
    assert first_machine('slurm', dict(environ, MASTER_ADDR='said')) == 'said'


def test_the_first_machine_of_mpi():
    assert first_machine('mpi', dict(MPI, OMPI_COMM_WORLD_LOCAL_SIZE='4')) == '127.0.0.1'
    assert first_machine('mpi', dict(MPI, MASTER_ADDR='10.0.0.1')) == '10.0.0.1'
    for environ in (MPI, dict(MPI, OMPI_COMM_WORLD_LOCAL_SIZE='2')):
        with pytest.raises(UserError, match=r'several machines needs MASTER_ADDR.*mpirun -x'):
            first_machine('mpi', environ)
    with pytest.raises(UserError, match='MASTER_ADDR'):
        first_machine('pytorch', dict(WORLD_SIZE='4', LOCAL_WORLD_SIZE='2'))


def test_the_group_of_several_machines_is_joined_there(monkeypatch):
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda *args, **kwargs: None)
    for name in (*SLURM, *MPI, 'MASTER_ADDR', 'MASTER_PORT', 'RANK', 'LOCAL_RANK'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    for name, value in dict(SLURM, SLURM_JOB_NODELIST='node[3-4]').items():
        monkeypatch.setenv(name, value)
    init_cpu_group('slurm')
    assert os.environ['MASTER_ADDR'] == 'node3' and os.environ['RANK'] == '3'
