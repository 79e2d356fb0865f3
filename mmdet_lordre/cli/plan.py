"""``lordre plan``."""
import argparse
import os
import shlex
import tempfile

from ..config.own_data import find_own_data
from ..datasets.formats import open_data
from ..errors import UserError
from ..files import demand_writable
from ..planning.fit import FAMILIES, SIZES
from ..planning.objects import read_both
from ..planning.passing import passing_lines
from ..planning.plan import Plan, check_limits, describe, make_plan
from ..planning.writing import write_config
from .options import Parser, add_device, whole_number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(description='Read a data set, say what each head could reach on it and what '
                                'it costs, and fit a config to it')
    parser.add_argument('data', metavar='DATA', help='annotations to train on, of any format in '
                                                     'docs/data.md: a file, or a folder that may '
                                                     'hold a validation part, too')
    parser.add_argument('--images', metavar='DIR', help='default: found near DATA')
    parser.add_argument('--val', metavar='DATA', help='annotations to validate on')
    parser.add_argument('--val-images', metavar='DIR', help='default: found near --val')
    parser.add_argument('--minutes', type=float, metavar='M',
                        help='minutes of training (default: 30 on a CPU, 120 on a GPU)')
    add_device(parser)
    parser.add_argument('--memory', type=float, metavar='GIB',
                        help='memory that a training step may take (default: on a GPU 85 %% of '
                             'what is free, on a CPU no limit)')
    parser.add_argument('--family', nargs='+', choices=list(FAMILIES), metavar='NAME',
                        help=f'families to choose from (default: all): {", ".join(FAMILIES)}')
    parser.add_argument('--size', choices=list(SIZES),
                        help='size of the model (default: by device, minutes and memory)')
    parser.add_argument('--pretrained', metavar='FILE',
                        help="weights that the backbone begins with, or 'none' (default: those of "
                             'ImageNet in the cache of torch, where they fit)')
    parser.add_argument('--out', metavar='CONFIG.py',
                        help='write the config of the recommended family')
    parser.add_argument('--no-cost', action='store_true',
                        help='measure nothing: the objects alone decide the image size, and the '
                             'schedule does not depend on --minutes')
    parser.add_argument('--crowd-as-instances', action='store_true',
                        help='take crowd regions (iscrowd=1) as objects, for tools that mark every '
                             'object as a crowd')
    parser.add_argument('--seed', type=whole_number(0), default=0,
                        help='seed of the random samples of the data (default: 0)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Plan:
    """Plan as the command line says; returns the plan."""
    args = parse_args(argv)
    if args.out and not args.out.endswith('.py'):
        raise UserError(f'--out: {args.out} must end in .py')
    if args.out and os.path.lexists(args.out):  # before anything is computed
        raise UserError(f'--out: {args.out} already exists: choose another name, or remove it')
    if args.val_images and not args.val:
        raise UserError('--val-images needs --val: without it there is nothing that they belong to')
    if args.no_cost and args.memory is not None:
        raise UserError('--memory cannot be kept where nothing is measured: leave out --no-cost')
    check_limits(args.minutes, args.memory)
    if args.out:
        demand_writable([args.out])
    with tempfile.TemporaryDirectory() as temporary:
        # files of other formats become COCO files, which the config names
        folder = os.path.splitext(args.out)[0] + '_data' if args.out else temporary
        own = _own_data(args, folder)
        return _plan(args, own)


def _own_data(args, folder):
    if args.val:
        return find_own_data(args.data, args.val, args.images, args.val_images, folder=folder)
    parts = open_data(args.data, args.images)
    if len(parts) > 1:
        return find_own_data(data=args.data, train_images=args.images, folder=folder)
    return find_own_data(args.data, None, args.images, folder=folder)


def _plan(args, own):
    train, val = read_both(*own.train, *(own.val or (None, None)), classes=own.classes,
                           crowd_as_instances=args.crowd_as_instances)
    with passing_lines() as say:
        plan = make_plan(
            train, val, minutes=args.minutes, device=args.device, memory=args.memory,
            families=args.family, size=args.size, pretrained=args.pretrained,
            measured=not args.no_cost, seed=args.seed, test=own.other_test, say=say)
    print(describe(plan))
    if args.out:
        write_config(plan.configs[plan.best], args.out)
        print(f'written      {args.out}; go on with: lordre train {shlex.quote(args.out)}'
              + ' --crowd-as-instances' * args.crowd_as_instances)
        if val is None:
            print('             no validation images were given (--val): it trains without '
                  'validation' + (', and lordre test would evaluate on the training images'
                                  if own.other_test is None else ''))
    else:
        print('to write its config, add --out my_config.py')
    return plan
