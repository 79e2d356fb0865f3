"""Make the LVIS-cocofied file: prepare_cocofied_lvis.py LVIS_v0.5_val.json OUT.json."""

from ..errors import UserError
from ..evaluation.lvis_cocofied_subset import write_cocofied
from ..files import refuse_overwriting
from ..text import plural
from .options import Parser, add_overwrite


def main(argv: list[str] | None = None) -> dict:
    """Write the subset that the command line asks for; returns it."""
    parser = Parser(
        description='Keep the COCO categories of an LVIS file (v0.5 or v1), under COCO ids: '
                    'the second evaluation of AggMask models.')
    parser.add_argument('lvis', help='an LVIS annotation file')
    parser.add_argument('out', help='where the subset goes')
    parser.add_argument('--split', default='val2017', metavar='FOLDER',
                        help="keep the images of this COCO folder, 'all' for all of them; "
                             'default: val2017')
    add_overwrite(parser, 'the subset')
    args = parser.parse_args(argv)
    refuse_overwriting([args.out], args.overwrite, (args.lvis,))
    try:
        subset = write_cocofied(args.lvis, args.out, None if args.split == 'all' else args.split)
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    print(f'{args.out}: {plural(len(subset["images"]), "image")}, '
          f'{plural(len(subset["annotations"]), "annotation")}, '
          f'{len(subset["categories"])} of 80 categories')
    return subset
