"""Make the LVIS-cocofied file: prepare_cocofied_lvis.py LVIS_v0.5_val.json OUT.json."""
import argparse
import sys

from mmdet_lordre.evaluation.lvis_cocofied_subset import write_cocofied


def main() -> int:
    parser = argparse.ArgumentParser(
        description='Keep the COCO categories of an LVIS file (v0.5 or v1), under COCO ids: '
                    'the second evaluation of AggMask models.')
    parser.add_argument('lvis', help='an LVIS annotation file')
    parser.add_argument('out', help='where the subset goes')
    parser.add_argument('--split', default='val2017', metavar='FOLDER',
                        help="keep the images of this COCO folder, 'all' for all of them; "
                             'default: val2017')
    args = parser.parse_args()
    try:
        subset = write_cocofied(args.lvis, args.out, None if args.split == 'all' else args.split)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'{args.out}: {len(subset["images"])} images, {len(subset["annotations"])} annotations, '
          f'{len(subset["categories"])} of 80 categories')
    return 0


if __name__ == '__main__':
    sys.exit(main())
