"""Print the parameters and multiply-adds of a config's model, without weights or images."""

import argparse

from ..analysis.complexity import Complexity, complexity
from ..config.reading import input_size, load_config
from ..errors import UserError
from ..models import open_model, stands_alone
from .options import Parser, add_cfg_options, whole_number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('config', help='config file, mmdet::folder/name.py, a work folder, or a '
                                       'checkpoint of a training')
    parser.add_argument('--shape', type=whole_number(), nargs=2, metavar=('HEIGHT', 'WIDTH'),
                        help="input size (default: the test size of the config, padded)")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Complexity:
    """Count as the command line says; returns the complexity."""
    args = parse_args(argv)
    cfg = (open_model(args.config, options=args.cfg_options).cfg if stands_alone(args.config) else
           load_config(args.config, args.cfg_options))
    try:
        size = tuple(args.shape) if args.shape else input_size(cfg)
    except ValueError as error:
        raise UserError(f'{args.config}: {error} with --shape HEIGHT WIDTH') from error
    try:
        cost = complexity(cfg, size)
    except ValueError as error:
        raise UserError(f'{args.config}: {error}') from error
    print(f'input       {cost.size[0]} x {cost.size[1]}')
    print(f'parameters  {cost.params / 1e6:.2f} M')
    print(f'FLOPs       {cost.macs / 1e9:.2f} G (a multiply-add counts as one, as in mmdet; '
          'network only)')
    return cost
