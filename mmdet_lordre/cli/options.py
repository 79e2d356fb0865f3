"""Command-line options that several tools have."""
import argparse
import os

from mmengine.config import DictAction


def add_cfg_options(parser, example=''):
    """``--cfg-options KEY=VALUE ...``, with an ``example`` after the line of help."""
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help=f'override values of the config{example}')


def add_common(parser):
    """``--work-dir``, ``--cfg-options`` and ``--launcher``, as in mmdet's tools."""
    parser.add_argument('--work-dir', help='folder of logs and checkpoints '
                                           '(default: work_dirs/CONFIG)')
    add_cfg_options(parser, ', such as train_dataloader.batch_size=4 '
                            'model.mask_head.num_classes=3')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'],
                        default='none', help='how several processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help=argparse.SUPPRESS)


def set_local_rank(args):
    """torch's launchers say the local rank by an option or in the environment."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def is_main_process():
    """Whether this is the process that checks and reports, before any group exists."""
    ranks = (os.environ.get(name) for name in ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK'))
    return int(next((rank for rank in ranks if rank), 0)) == 0
