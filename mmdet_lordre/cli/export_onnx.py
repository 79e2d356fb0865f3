"""``lordre export-onnx``."""
import argparse
from typing import Any

from ..deployment.exporting import demand_name, demand_packages, write_onnx
from ..files import refuse_overwriting
from ..models import build_model
from .options import Parser, add_cfg_options, add_overwrite, whole_number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(
        description='Write a model as an ONNX file and compare it with PyTorch')
    parser.add_argument('config', metavar='MODEL',
                        help='a work folder (its best, else its last checkpoint), a checkpoint, or '
                             'a config with its checkpoint')
    parser.add_argument('checkpoint', nargs='?', help='of a config; its classes are taken')
    parser.add_argument('out', help='the file to write, OUT.onnx')
    parser.add_argument('--shape', type=whole_number(), nargs=2, metavar=('H', 'W'),
                        help='size of the input (default: the test size of the config, padded)')
    parser.add_argument('--dynamic', action='store_true',
                        help='leave batch, height and width free')
    parser.add_argument('--fp16', action='store_true',
                        help='the network in float16; input, outputs and what follows the network '
                             'stay in float32')
    parser.add_argument('--end-to-end', action='store_true',
                        help='scores, labels and masks (PolarMask: contours) as outputs, not what '
                             'the head gives')
    parser.add_argument('--probabilities', action='store_true',
                        help='masks as probabilities in float32, not as 0 and 1 in uint8')
    parser.add_argument('--image', help='compare on this image (default: a drawn one)')
    add_overwrite(parser, 'OUT.onnx')
    add_cfg_options(parser)
    parser.intermixed = True
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> Any:
    """Export as the command line says; returns the :class:`Agreement`, None if not compared."""
    args = parse_args(argv)
    demand_packages()
    refuse_overwriting([args.out], args.overwrite, (args.config, args.checkpoint, args.image))
    demand_name(args.out)
    model = build_model(args.config, args.checkpoint, 'cpu', args.cfg_options)
    return write_onnx(model, args.out, shape=args.shape, dynamic=args.dynamic, half=args.fp16,
                      end_to_end=args.end_to_end, probabilities=args.probabilities,
                      image=args.image, overwrite=args.overwrite)
