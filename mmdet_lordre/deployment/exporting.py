"""An ONNX file of a model, compared with PyTorch before it is called done."""
from __future__ import annotations

import importlib.util
import logging
import operator
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import cv2
import mmcv
import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from ..config.reading import input_size, split_datasets, tile_of, type_name
from ..errors import UserError
from ..files import reason, refuse_overwriting
from ..models import head_of
from ..text import agree, listed, plural, quoted

if TYPE_CHECKING:
    from .onnx.check import Agreement

#: What the scores of onnxruntime and PyTorch may differ by, in float32.
SCORE_DIFFERENCE = 1e-3
#: The same in float16 for detections whose score lies as far above the threshold, ...
_HALF_DIFFERENCE = 0.1
#: ... and how many of these both sides must have. Trained networks find all of them again, but
#: where several masks fit an object, rounding decides which of them is kept.
_HALF_SHARE = 0.75
#: Of a picture to trace and compare on, where no size is said and every one is possible.
_SIDE = 256


def demand_packages() -> None:
    """Refuse to begin without the packages that are needed.

    Raises:
        UserError: Naming the one that is missing.
    """
    for package in ('onnx', 'onnxruntime'):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"{package} is not installed: pip install 'mmdet_lordre[onnx]'")


def write_onnx(model: nn.Module, out: str, shape: Sequence[int] | None = None,
               dynamic: bool = False, half: bool = False, end_to_end: bool = False,
               probabilities: bool = False, image: str | None = None,
               overwrite: bool = False, say: Callable[[str], object] = print
               ) -> Agreement | None:
    """Write a model as an ONNX file, and run both.

    Args:
        model: With ``cfg`` and ``dataset_meta``, on the CPU, from
            :func:`~mmdet_lordre.models.build_model`.
        out: The file.
        shape: (height, width) of the input; the test size of the config, padded, if not given. Must
            be given where there is none, unless ``dynamic``.
        dynamic: Leave batch, height and width free.
        half: The network in float16.
        end_to_end: Scores, labels and masks as outputs, not what the head gives.
        probabilities: Masks as probabilities, not as 0 and 1.
        image: File to compare on; a drawn picture if not given.
        overwrite: Replace a file of that name.
        say: Is told what a person wants to know.

    Returns:
        How onnxruntime and PyTorch agree; None if they were not compared.

    Raises:
        UserError: The model, the size or the file cannot be used, or both find other things.
    """
    demand_packages()
    demand_name(out)
    refuse_overwriting([out], overwrite, (image, getattr(model, 'checkpoint', None)),
                       'overwrite=True')
    from .onnx import export_onnx

    name = model.cfg.filename or getattr(model, 'checkpoint', None) or 'the model'
    size = _input_size(model.cfg, shape, name, dynamic)
    if image:
        read_picture(model, image, size)  # before minutes of export
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    try:
        export_onnx(model, out, size, dynamic, half, end_to_end, not probabilities,
                    image_preparation(model), overwrite)
    except ValueError as error:
        raise UserError(f'{name}: {error}') from error
    except OSError as error:
        raise UserError(f'{out} cannot be written: {reason(error)}') from error
    if tile := tile_of(model.cfg):
        say(f'trained on crops of {tile} px: whoever runs the file cuts larger pictures into '
            'tiles of that size, as lordre predict does, or small objects vanish')
    text = 'batch x 3 x height x width' if dynamic else f'1 x 3 x {size[0]} x {size[1]}'
    say(f'{out}: input {text}')
    return compare_with_torch(model, out, size, dynamic, half, end_to_end, image, say)


def _input_size(cfg, shape, name, dynamic):
    divisor = _divisor(cfg)
    try:
        size = input_size(cfg) if shape is None else _two_sides(shape)
    except ValueError as error:
        if not dynamic:
            raise UserError(f'{name}: {error} with shape (height and width), or leave it free '
                            'with dynamic') from error
        # pictures stay as they are: any size is as good, to trace and to compare
        size = (-(-_SIDE // divisor) * divisor,) * 2
    if min(size) < 1 or any(side % divisor for side in size):
        raise UserError(f'shape {size[0]} {size[1]}: this model pads its input to multiples of '
                        f'{divisor}; give such a size')
    return size


def _two_sides(shape):
    try:
        height, width = map(operator.index, shape)
    except (TypeError, ValueError):
        raise UserError(f'shape {quoted(shape)}: give height and width, two whole numbers'
                        ) from None
    return height, width


def _divisor(cfg: Config) -> int:
    return (cfg.model.get('data_preprocessor') or {}).get('pad_size_divisor', 1)


def image_preparation(model: nn.Module) -> dict:
    """What a program that has only the ONNX file must know, as a dictionary for JSON.

    Args:
        model: With ``cfg`` and ``dataset_meta``, from :func:`build_model`.
    """
    cfg, preprocessor, head = model.cfg, model.data_preprocessor, head_of(model)
    steps = next(iter(split_datasets(cfg, 'test')), {}).get('pipeline') or ()
    resize = next((step for step in steps if type_name(step) == 'Resize' and step.get('scale')), {})
    values = next((step for step in steps if type_name(step) == 'ScaleValues'), None)
    scale = resize.get('scale') or ()
    # only a preprocessor that normalizes has both
    mean, std = ((preprocessor.mean.flatten().tolist(), preprocessor.std.flatten().tolist())
                 if hasattr(preprocessor, 'mean') else ([0.0] * 3, [1.0] * 3))
    return dict(
        mean=mean, std=std,
        # of images as OpenCV reads them, which are BGR
        bgr_to_rgb=bool(preprocessor._channel_conversion),
        divisor=_divisor(cfg), scale=[scale] * 2 if isinstance(scale, int) else list(scale),
        keep_ratio=bool(resize.get('keep_ratio', False)),
        # of pictures of 16 bits, which become 0 and 255
        values=values and [values.low, values.high],
        # side of the crops that a model for large pictures was trained on
        tile=tile_of(cfg),
        mask_thr=_mask_thr(head),
        # how contours become masks; None where there are none
        fill=head.test_cfg.get('fill'), rounded=head.test_cfg.get('fill') == 'rounded',
        classes=list(model.dataset_meta.get('classes') or ()))


def _mask_thr(head):
    given = head.test_cfg.get('mask_thr')  # 0 is one, too
    return 0.5 if given is None else float(given)


def compare_with_torch(model: nn.Module, out: str, size: tuple[int, int], dynamic: bool = False,
                       half: bool = False, end_to_end: bool = True,
                       image: str | None = None, say: Callable[[str], object] = print
                       ) -> Agreement | None:
    """Run both on images; returns how they agree.

    Args:
        model: What was exported.
        out: The ONNX file.
        size: (height, width) of its input.
        dynamic: Compare at other sizes, too.
        half: The file computes in float16.
        end_to_end: The file gives instances, else the outputs of the network.
        image: A picture to compare on, else one is drawn.
        say: Is told what a person wants to know.

    Raises:
        UserError: They do not (in float16 more than rounding explains), the network gives values
            that are not finite, or this onnxruntime does not know deformable convolution.
    """
    import onnxruntime

    from .onnx.check import (
        Agreement,
        compare,
        network_outputs,
        onnx_instances,
        score_floor,
        torch_instances,
    )

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(out, options, ['CPUExecutionProvider'])
    except Exception as error:
        if 'NOT_IMPLEMENTED' not in str(error) or 'DeformConv' not in str(error):
            raise
        raise UserError(f'{out} was written, but not compared: onnxruntime '
                        f'{onnxruntime.__version__} does not know deformable convolution on the '
                        "CPU; install 'onnxruntime>=1.25'") from error
    if not end_to_end:
        images = read_picture(model, image, size)
        outputs = dict(zip((output.name for output in session.get_outputs()),
                           session.run(None, {'image': images.numpy()})))
        say('outputs: ' + ', '.join(f'{name} {"x".join(map(str, value.shape))}'
                                    for name, value in outputs.items()))
        _demand_finite(outputs, out, half)
        return None
    divisor = _divisor(model.cfg)
    sizes = [size]
    if dynamic:
        sizes.append(tuple(max(divisor, round(side * 0.8 / divisor) * divisor) for side in size))
        sizes.append(size[::-1])
    head = head_of(model)
    total = Agreement()
    for some in sizes:
        images = read_picture(model, image, some)
        if dynamic:
            images = torch.cat((images, images.flip(3)))
        _demand_finite(network_outputs(out, model, images), out, half)
        total = total + compare(
            torch_instances(model, images),
            onnx_instances(session, images, _mask_thr(head),
                           head.test_cfg.get('fill', 'opencv')),
            score_floor(head), 0.02 if half else 1e-3)
    compared = f'onnxruntime and PyTorch, {plural(len(sizes), "size")}'
    if total.empty:
        say(f'{compared}: nothing was found on {image or "the drawn picture"}, so nothing was '
            'compared: name a picture with objects by --image')
        return total
    say(f'{compared}: {total}')
    if half:
        _demand_alike(total, out, score_floor(head) + _HALF_DIFFERENCE)
    elif differences := total.differences(SCORE_DIFFERENCE):
        raise UserError(f'{out} was written, but onnxruntime does not find what PyTorch finds: '
                        f'{"; ".join(differences)} (--overwrite replaces the file)')
    return total


def _demand_finite(outputs, out, half):
    """Refuse a file whose network gives NaN or infinity, of which nothing is found."""
    bad = [name for name, values in outputs.items() if not np.isfinite(values).all()]
    if not bad:
        return
    remedy = 'activations overflow float16: export without --fp16' if half else \
        'the network is of no use: export another checkpoint'
    raise UserError(f'{out} was written, but {listed(bad)} {agree(len(bad), "is", "are")} not '
                    f'finite: {remedy} (--overwrite replaces the file)')


def _demand_alike(total, out, above):
    """Refuse a file in float16 that is more than less exact."""
    count, common = total.sure(above, _HALF_DIFFERENCE)
    which = f' with scores of {above:.2f} or more'
    if not count:  # hardly trained: all that is not at the threshold
        (count, common), which = total.sure(0, _HALF_DIFFERENCE), ''
    if common < _HALF_SHARE * count:
        raise UserError(f'{out} was written, but in float16 it does not find what PyTorch finds: '
                        f'of {plural(count, "detection")}{which} both have {common}: export '
                        'without --fp16 (--overwrite replaces the file)')


def demand_name(out: str) -> None:
    """Refuse a name that no ONNX file should have, before anything is computed.

    Raises:
        UserError: It ends otherwise, or is a folder.
    """
    if not out.lower().endswith('.onnx'):
        raise UserError(f'{out}: the file must end in .onnx')
    if os.path.isdir(out):
        raise UserError(f'{out}: there is a folder where a file should be')


def read_image(path: str) -> np.ndarray:
    """An image file, in BGR.

    Raises:
        UserError: It cannot be read.
    """
    picture = None
    if os.path.isfile(path):
        with suppress(cv2.error):  # it claims more pixels than OpenCV reads
            picture = mmcv.imread(path) if cv2.haveImageReader(path) else None
    if picture is None:
        raise UserError(f'image {path}: no such image, or it cannot be decoded')
    return picture


def read_picture(model: nn.Module, path: str | None, size: tuple[int, int]) -> Tensor:
    """A normalized image (1, 3, height, width); a drawn one without a path.

    Args:
        model: With the means and deviations of its input.
        path: Of the picture.
        size: (height, width) that it is resized to.

    Raises:
        UserError: The image cannot be read.
    """
    if path:
        picture = read_image(path)
    else:
        from ..datasets.shapes.scene import make_scene
        picture = make_scene(max(64, min(256, *size)), 0, 1, 0).image
        picture = np.ascontiguousarray(picture, np.uint8)
    picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    with torch.no_grad():
        return model.data_preprocessor(dict(inputs=[tensor]))['inputs']
