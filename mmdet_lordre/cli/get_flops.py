"""Print the parameters and multiply-adds of a config's model, without weights or images."""

import argparse
import os

from ..analysis.complexity import Complexity, complexity
from ..config.reading import load_config
from ..errors import UserError
from ..models import open_model
from .options import Parser, add_cfg_options, whole_number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='config file, mmdet::folder/name.py, or a work folder')
    parser.add_argument('--shape', type=whole_number(), nargs=2, metavar=('HEIGHT', 'WIDTH'),
                        help="input size (default: the test size of the config, padded)")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Complexity:
    """Count as the command line says; returns the complexity."""
    args = parse_args(argv)
    cfg = (open_model(args.config, options=args.cfg_options).cfg if os.path.isdir(args.config) else
           load_config(args.config, args.cfg_options))
    try:
        cost = complexity(cfg, tuple(args.shape) if args.shape else None)
    except ValueError as error:
        raise UserError(f'{args.config}: {error}') from error
    print(f'input       {cost.size[0]} x {cost.size[1]}')
    print(f'parameters  {cost.params / 1e6:.2f} M')
    print(f'FLOPs       {cost.macs / 1e9:.2f} G (a multiply-add counts as one, as in mmdet; '
          'network only)')
    return cost
