"""Make the embedded data set: pictures of shapes with exact masks, in COCO format."""
import argparse
import os
import sys
import time
from pathlib import Path

# The generator needs no torch; importing it through the package would load all of mmdet.
ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT.parent if ROOT.name == '.mim' else ROOT / 'mmdet_lordre'
sys.path.insert(0, str(PACKAGE / 'datasets'))
from shapes import make_dataset  # noqa: E402


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out', help='folder to make')
    parser.add_argument('--train', type=int, default=2000, help='number of training images')
    parser.add_argument('--val', type=int, default=200, help='number of validation images')
    parser.add_argument('--size', type=int, default=128, help='side of the images in pixels')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--workers', type=int, default=min(os.cpu_count() or 1, 8),
                        help='processes that draw')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace another shapes data set in this folder')
    return parser.parse_args()


def show(done, total):
    """A counter on one line, on a terminal only."""
    if sys.stderr.isatty() and (done % 50 == 0 or done == total):
        print(f'\r{done}/{total} images', end='\n' if done == total else '', file=sys.stderr,
              flush=True)


def main():
    args = parse_args()
    start = time.perf_counter()
    wanted = f'{args.train} + {args.val} images of {args.size} px, seed {args.seed}'
    try:
        made = make_dataset(args.out, args.train, args.val, args.size, args.seed, args.workers,
                            args.overwrite, show)
    except (ValueError, OSError) as error:
        sys.exit(f'make_shapes: {error}')
    if made:
        print(f'{args.out}: made {wanted} in {time.perf_counter() - start:.1f} s')
    else:
        print(f'{args.out}: {wanted} are there already')


if __name__ == '__main__':
    main()
