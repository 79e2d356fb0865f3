"""``lordre export-onnx``."""
import importlib.util
import logging

import cv2
import mmcv
import numpy as np
import torch

from ..analysis.complexity import input_size
from ..errors import UserError
from ..models import build_model, head_of
from .options import Parser, add_cfg_options

#: What the answers of onnxruntime and PyTorch may differ by, in float32.
SCORE_DIFFERENCE, MASK_IOU = 1e-3, 0.98


def parse_args(argv=None):
    parser = Parser(
        description='Write a model as an ONNX file and compare it with PyTorch')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint; its classes are taken')
    parser.add_argument('out', help='the file to write, OUT.onnx')
    parser.add_argument('--shape', type=int, nargs=2, metavar=('H', 'W'),
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
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv=None):
    """Export as the command line says; returns the :class:`Agreement`, None if not compared."""
    args = parse_args(argv)
    for package in ('onnx', 'onnxruntime'):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"{package} is not installed: pip install 'mmdet_lordre[onnx]'")
    from ..deployment.onnx import export_onnx

    model = build_model(args.config, args.checkpoint, 'cpu', args.cfg_options)
    size = _input_size(model.cfg, args)
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    try:
        export_onnx(model, args.out, size, args.dynamic, args.fp16, args.end_to_end,
                    not args.probabilities, image_preparation(model))
    except ValueError as error:
        raise UserError(f'{args.config}: {error}') from error
    except OSError as error:
        raise UserError(f'{args.out} cannot be written: {error.strerror}') from error
    shape = 'batch x 3 x height x width' if args.dynamic else f'1 x 3 x {size[0]} x {size[1]}'
    print(f'{args.out}: input {shape}')
    return compare_with_torch(model, args, size)


def _input_size(cfg, args):
    try:
        size = tuple(args.shape) if args.shape else input_size(cfg)
    except ValueError as error:
        raise UserError(f'{args.config}: {error} with --shape H W') from error
    divisor = _divisor(cfg)
    if min(size) < 1 or any(side % divisor for side in size):
        raise UserError(f'--shape {size[0]} {size[1]}: this model pads its input to multiples of '
                        f'{divisor}; give such a size')
    return size


def _divisor(cfg):
    return (cfg.model.get('data_preprocessor') or {}).get('pad_size_divisor', 1)


def image_preparation(model):
    """What a program that has only the ONNX file must know, as a dictionary for JSON.

    Args:
        model (nn.Module): with ``cfg`` and ``dataset_meta``, from :func:`build_model`.
    """
    cfg, preprocessor, head = model.cfg, model.data_preprocessor, head_of(model)
    resize = next((step for step in cfg.test_dataloader.dataset.pipeline
                   if step.type.split('.')[-1] == 'Resize' and step.get('scale')), {})
    return dict(
        mean=preprocessor.mean.flatten().tolist(), std=preprocessor.std.flatten().tolist(),
        # of images as OpenCV reads them, which are BGR
        bgr_to_rgb=bool(preprocessor._channel_conversion),
        divisor=_divisor(cfg), scale=list(resize.get('scale') or []),
        keep_ratio=bool(resize.get('keep_ratio', True)),
        mask_thr=float(head.test_cfg.get('mask_thr') or 0.5),
        rounded=head.test_cfg.get('fill', 'opencv') != 'opencv',
        classes=list(model.dataset_meta.get('classes') or ()))


def compare_with_torch(model, args, size):
    """Run both on images; returns how they agree.

    Raises:
        UserError: they do not.
    """
    import onnxruntime

    from ..deployment.onnx.check import (
        Agreement,
        compare,
        onnx_instances,
        score_floor,
        torch_instances,
    )

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(args.out, options, ['CPUExecutionProvider'])
    if not args.end_to_end:
        outputs = session.run(None, {'image': read_picture(model, args.image, size).numpy()})
        print('outputs: ' + ', '.join(f'{output.name} {"x".join(map(str, value.shape))}'
                                      for output, value in zip(session.get_outputs(), outputs)))
        return None
    divisor = _divisor(model.cfg)
    sizes = [size]
    if args.dynamic:
        sizes.append(tuple(max(divisor, round(side * 0.8 / divisor) * divisor) for side in size))
        sizes.append(size[::-1])
    head = head_of(model)
    total = Agreement()
    for some in sizes:
        images = read_picture(model, args.image, some)
        if args.dynamic:
            images = torch.cat((images, images.flip(3)))
        total = total + compare(
            torch_instances(model, images),
            onnx_instances(session, images, head.test_cfg.get('mask_thr') or 0.5,
                           head.test_cfg.get('fill', 'opencv')),
            score_floor(head), 0.02 if args.fp16 else 1e-3)
    print(f'onnxruntime and PyTorch, {len(sizes)} size{"s" * (len(sizes) > 1)}: {total}')
    if not args.fp16 and (total.missing or total.worst_iou < MASK_IOU
                          or total.score_difference > SCORE_DIFFERENCE):
        raise UserError(f'{args.out} was written, but onnxruntime does not find what PyTorch '
                        f'finds: {total}')
    return total


def read_picture(model, path, size):
    """A normalised image (1, 3, height, width); a drawn one without a path.

    Raises:
        UserError: the image cannot be read.
    """
    if path:
        picture = mmcv.imread(path) if cv2.haveImageReader(path) else None
        if picture is None:
            raise UserError(f'--image {path}: no such image, or it cannot be decoded')
    else:
        from ..datasets.shapes.scene import make_scene
        picture = make_scene(max(64, min(256, *size)), 0, 1, 0).image
        picture = np.ascontiguousarray(picture, np.uint8)
    picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    with torch.no_grad():
        return model.data_preprocessor(dict(inputs=[tensor]))['inputs']
