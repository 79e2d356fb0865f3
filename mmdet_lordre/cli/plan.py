"""``lordre plan``."""
import argparse
import sys

from ..errors import UserError
from ..planning.fit import FAMILIES, SIZES
from ..planning.plan import Plan, describe, make_plan, read_both
from ..planning.writing import write_config
from .options import Parser, add_device


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(description='Read a data set, say what each head could reach on it and what '
                                'it costs, and fit a config to it')
    parser.add_argument('data', metavar='DATA', help='annotations to train on (COCO)')
    parser.add_argument('--images', metavar='DIR', help='default: found near DATA')
    parser.add_argument('--val', metavar='DATA', help='annotations to judge on')
    parser.add_argument('--val-images', metavar='DIR', help='default: found near --val')
    parser.add_argument('--minutes', type=float, metavar='M',
                        help='of training (default: 30 on a CPU, 120 on a GPU)')
    add_device(parser)
    parser.add_argument('--memory', type=float, metavar='GIB',
                        help='that a training step may take (default: as it comes)')
    parser.add_argument('--family', nargs='+', choices=list(FAMILIES), metavar='NAME',
                        help=f'families that come into question: {", ".join(FAMILIES)}')
    parser.add_argument('--size', choices=list(SIZES),
                        help='of the model (default: small on a CPU, medium on a GPU)')
    parser.add_argument('--out', metavar='CONFIG.py',
                        help='write the config of the recommended family')
    parser.add_argument('--no-cost', action='store_true',
                        help='measure nothing: sizes as wished for')
    parser.add_argument('--seed', type=int, default=0, help='of the samples that are looked at')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Plan:
    """Plan as the command line says; returns the plan."""
    args = parse_args(argv)
    if args.out and not args.out.endswith('.py'):
        raise UserError(f'--out: {args.out} must end in .py')
    train, val = read_both(args.data, args.images, args.val, args.val_images)
    shown = sys.stderr.isatty()
    plan = make_plan(
        train, val, minutes=args.minutes, device=args.device, memory=args.memory,
        families=args.family, size=args.size, measured=not args.no_cost, seed=args.seed,
        say=lambda line: print(f'\r{line} ...'.ljust(60), end='', file=sys.stderr, flush=True)
        if shown else None)
    if shown:
        print('\r'.ljust(61), end='\r', file=sys.stderr)
    print(describe(plan))
    if args.out:
        write_config(plan.configs[plan.best], args.out)
        print(f'written      {args.out}: lordre train {args.out}')
    else:
        print('to write its config: --out my_config.py')
    return plan
