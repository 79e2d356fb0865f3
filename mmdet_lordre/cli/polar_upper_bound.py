"""Print the AP and IoU that perfect rays would reach on a COCO file.

PolarMask draws an instance as rays from one center. This says what that costs on your data
before you train: each annotated instance is drawn back from its own rays.
"""
import argparse
import contextlib
import io
import json
import os
from typing import Any

from pycocotools.coco import COCO

from ..errors import UserError
from ..polarmask import PolarRayCoder
from ..polarmask.polygons import FILLS
from ..polarmask.upper_bound import PolarUpperBound
from ..text import plural
from .options import Parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('annotations', help='COCO instance annotations, a .json file')
    parser.add_argument('--rays', type=int, nargs='+', default=[18, 24, 36, 72],
                        help='numbers of rays, divisors of 360 (default: 18 24 36 72)')
    parser.add_argument('--rule', choices=('published', 'wrapped', 'both', 'exact'),
                        help='search of contour pixels around 0/360 degrees, or exact: rays end '
                        'where they cross the contour (default: both; exact with --holes)')
    parser.add_argument('--search', type=int, default=3,
                        help='degrees to both sides in which a ray may find a contour pixel '
                        '(default: 3, as published; small instances need more)')
    parser.add_argument('--fill', choices=FILLS, default='opencv',
                        help='how contours are filled (default: opencv, as published)')
    parser.add_argument('--holes', action='store_true',
                        help='exact rays with an inner end, as bbox_head.holes=True predicts them')
    parser.add_argument('--per-class', action='store_true', help='print every class too')
    return parser.parse_args(argv)


def load(path: str | os.PathLike, holes: bool = False) -> PolarUpperBound:
    """Read a COCO annotation file, with the holes of its masks if they are to be drawn.

    Raises:
        UserError: It is none.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise UserError(f'{path} is no file: give a COCO annotation file')
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(path)
        return PolarUpperBound(coco, holes)
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); give a COCO annotation '
                        'file') from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f'{path}: is not JSON ({error}); give a COCO annotation file') from error
    except (AssertionError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f'{path}: is not a COCO annotation file ({type(error).__name__}: {error}); '
                        "it needs 'images', 'annotations' and 'categories'") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}; annotations need 'segmentation'") from error


def main(argv: list[str] | None = None) -> Any:
    """Print the table that the command line asks for."""
    args = parse_args(argv)
    rule = args.rule or ('exact' if args.holes else 'both')
    if args.holes and rule != 'exact':
        raise UserError(f'--rule {rule}: rays with holes are exact; leave it out')
    rules = ('published', 'wrapped') if rule == 'both' else (rule,)
    try:
        coders = [(rule, PolarRayCoder(rays, rule == 'wrapped', args.search,
                                        rule == 'exact'))
                  for rays in args.rays for rule in rules]
    except ValueError as error:
        raise UserError(f'--rays, --search: {error}') from error
    bound = load(args.annotations, args.holes)
    print(f'{plural(len(bound.anns), "instance")} in {args.annotations}')
    print(f'{"rays":>4} {"0/360 rule":<10} {"AP":>6} {"AP50":>6} {"AP75":>6} {"mean IoU":>8}')
    for rule, coder in coders:
        result = bound.evaluate(coder, args.fill)
        print(f'{coder.num_rays:>4} {rule:<10} {result["AP"]:6.3f} {result["AP50"]:6.3f} '
              f'{result["AP75"]:6.3f} {result["mIoU"]:8.3f}')
        if args.per_class:
            for name, precision, iou in result['classes']:
                print(f'     {name:<20} AP {precision:.3f}  mean IoU {iou:.3f}')
