"""Convert a published checkpoint (SparseInst, SOLO, SOLOv2, AggMask, PolarMask, mmdet 2.x, or an
ImageNet backbone of torchvision, timm, detectron2 or PVT) to one that the configs here load.

Files are read without running what is in them. Every name is placed, dropped for a stated
reason, or refused; a report ends the run.
"""
import argparse
import sys

from mmdet_lordre.checkpoints import FORMATS, ConversionError, convert_file


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='the published file')
    parser.add_argument('target', help='the file to write')
    parser.add_argument('--format', default='auto', choices=['auto', *FORMATS, 'imagenet'],
                        help='published format; auto tells it from the names')
    parser.add_argument('--config', default='auto',
                        help='a config whose model the result must fit; its text goes into the '
                        'file, which then needs no config beside it (default: the first of this '
                        "project's with exactly that model)")
    return parser.parse_args()


def main():
    args = parse_args()
    try:
        result = convert_file(args.source, args.target, args.format, args.config)
    except ConversionError as error:
        sys.exit(f'convert_checkpoint: {error}')
    print(result.summary())
    print(f'written  {args.target}')


if __name__ == '__main__':
    main()
