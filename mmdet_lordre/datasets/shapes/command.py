"""The command that makes the data set; it needs no torch."""
import argparse
import os
import sys
import time

from .dataset import make_dataset


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description='Draw the embedded data set',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    # one line, as the errors of the other commands
    parser.error = lambda message: parser.exit(
        2, f'error: {message}; {parser.prog} --help lists the options\n')
    parser.add_argument('out', help='folder to make')
    parser.add_argument('--train', type=int, default=2000, help='number of training images')
    parser.add_argument('--val', type=int, default=200, help='number of validation images')
    parser.add_argument('--size', type=int, default=128, help='side of the images in pixels')
    parser.add_argument('--seed', type=int, default=0,
                        help='the same seed draws the same images')
    parser.add_argument('--workers', type=int, default=min(os.cpu_count() or 1, 8),
                        help='processes that draw')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace another shapes data set in this folder')
    return parser.parse_args(argv)


def show(done: int, total: int) -> None:
    """A counter on one line, on a terminal only."""
    if sys.stderr.isatty() and (done % 50 == 0 or done == total):
        print(f'\r{done}/{total} images', end='\n' if done == total else '', file=sys.stderr,
              flush=True)


def main(argv: list[str] | None = None) -> None:
    """Make the data set as the command line says."""
    args = parse_args(argv)
    start = time.perf_counter()
    wanted = f'{args.train} + {args.val} images of {args.size} px, seed {args.seed}'
    try:
        made = make_dataset(args.out, args.train, args.val, args.size, args.seed, args.workers,
                            args.overwrite, show)
    except (ValueError, OSError) as error:
        sys.exit(f'error: {error}')
    if made:
        print(f'{args.out}: made {wanted} in {time.perf_counter() - start:.1f} s')
    else:
        print(f'{args.out}: {wanted} already exist')
