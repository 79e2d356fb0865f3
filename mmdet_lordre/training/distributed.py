"""Several processes without a GPU."""
import atexit
import datetime
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, init_dist, is_distributed, is_main_process

from ..errors import UserError
from ..launchers import LAUNCHERS

Found = TypeVar('Found')


def from_the_first(cfg: Config, find: Callable[[], Found]) -> Found:
    """What the first process finds, in all processes; the group is joined for that.

    Args:
        cfg: With ``launcher`` and ``env_cfg``.
        find: Called without arguments in the first process alone.
    """
    if cfg.launcher == 'none':
        return find()
    if not is_distributed():
        options = dict((cfg.get('env_cfg') or {}).get('dist_cfg') or {})
        if get_device() == 'cpu':
            init_cpu_group(cfg.launcher, options.get('timeout'))
        else:
            init_dist(cfg.launcher, **options)
    found = [find() if is_main_process() else None]
    broadcast_object_list(found)
    return found[0]


def init_cpu_group(launcher: str, timeout: float | None = None) -> None:
    """Join the process group over gloo; mmengine would ask for a GPU first.

    Args:
        launcher: 'pytorch', 'slurm' or 'mpi': where rank and size are read.
        timeout: Seconds to wait for another process.

    Raises:
        UserError: The launcher's environment variables are missing.
    """
    names = LAUNCHERS.get(launcher)
    if names is None:
        raise UserError(f"launcher must be 'pytorch', 'slurm' or 'mpi', not {launcher!r}")
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise UserError(f'--launcher {launcher} needs {", ".join(missing)} in the environment: '
                        'start the tool by tools/dist_*.sh or tools/slurm_*.sh')
    rank, size, local_rank = (os.environ[name] for name in names)
    os.environ.update(RANK=rank, WORLD_SIZE=size, LOCAL_RANK=local_rank)
    os.environ.setdefault('MASTER_ADDR', first_machine(launcher, os.environ))
    os.environ.setdefault('MASTER_PORT', '29500')
    kwargs = {} if timeout is None else dict(timeout=datetime.timedelta(seconds=timeout))
    dist.init_process_group('gloo', rank=int(rank), world_size=int(size), **kwargs)


def first_machine(launcher: str, environ: Mapping[str, str]) -> str:
    """Where process 0 runs, which all others have to reach.

    Args:
        launcher: 'pytorch', 'slurm' or 'mpi'.
        environ: The environment of a process.

    Raises:
        UserError: The environment does not say it.
    """
    if environ.get('MASTER_ADDR'):
        return environ['MASTER_ADDR']
    if launcher == 'slurm':
        nodes = environ.get('SLURM_STEP_NODELIST') or environ.get('SLURM_JOB_NODELIST') \
            or environ.get('SLURM_NODELIST')
        if nodes:
            # 'rack[2-3,7]n[01-16],other': the first of each bracket makes the first name
            return re.sub(r'\[(\w+)[^]]*\]', r'\1', nodes).split(',')[0]
    here = environ.get({'mpi': 'OMPI_COMM_WORLD_LOCAL_SIZE', 'pytorch': 'LOCAL_WORLD_SIZE',
                        'slurm': 'SLURM_NTASKS_PER_NODE'}[launcher])
    if here == environ['WORLD_SIZE'] or environ['WORLD_SIZE'] == '1':
        return '127.0.0.1'
    how = {'mpi': 'mpirun -x MASTER_ADDR=NAME', 'slurm': 'srun --export=ALL,MASTER_ADDR=NAME',
           'pytorch': 'MASTER_ADDR=NAME tools/dist_train.sh'}[launcher]
    raise UserError(f'--launcher {launcher} on several machines needs MASTER_ADDR, the name or '
                    f'address of the machine of process 0, in the environment: {how} ...')


def end_of_process(status: int) -> None:
    """End a process that belongs to a group; does nothing where there is none.

    Threads of gloo live as long as anything refers to the group (a model wrapped for distributed
    training, say), and need the interpreter to let go of a tensor: while it is being taken down
    that aborts the process, and within ``destroy_process_group`` both may wait for each other.
    So the functions registered for the exit are called here, and nothing is taken down.

    Args:
        status: Exit status.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return
    if status == 0 and dist.get_backend() == 'nccl':  # a failed one would wait for the others
        dist.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
