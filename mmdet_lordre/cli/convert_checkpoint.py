"""Convert a published checkpoint (SparseInst, SOLO, SOLOv2, AggMask, PolarMask, mmdet 2.x, or an
ImageNet backbone of torchvision, timm, detectron2 or PVT) to one that the configs here load.

Files are read without running what is in them. Every name is placed, dropped for a stated
reason, or refused; a report ends the run.
"""

import argparse

from ..checkpoints import FORMATS, Conversion, convert_file
from ..files import refuse_overwriting
from .options import Parser, add_overwrite


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(description=__doc__)
    parser.add_argument('source', help='the published file')
    parser.add_argument('target', help='the file to write')
    parser.add_argument('--format', default='auto', choices=['auto', *FORMATS, 'imagenet'],
                        help='published format; auto tells it from the names')
    parser.add_argument('--config', default='auto',
                        help='a config whose model the result must fit; its text goes into the '
                        'file, which then needs no config beside it (default: the first of this '
                        "project's with exactly that model)")
    add_overwrite(parser, 'the target')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Conversion:
    """Convert as the command line says; returns the conversion."""
    args = parse_args(argv)
    refuse_overwriting([args.target], args.overwrite, (args.source, args.config))
    result = convert_file(args.source, args.target, args.format, args.config, args.overwrite)
    print(result.summary())
    print(f'written  {args.target}')
    return result
