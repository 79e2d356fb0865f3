"""Operators that PyTorch cannot export as they stand, in forms made of standard ONNX."""
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d, nms
from mmcv.ops.deform_conv import DeformConv2dFunction
from mmcv.ops.modulated_deform_conv import ModulatedDeformConv2dFunction
from torch import Tensor, nn

#: The operator set that has ``DeformConv``.
DEFORMABLE_OPSET = 19


def pooling_matrix(size: int | Tensor, bins: int,
                   device: torch.device | str | None = None) -> Tensor:
    """Matrix (bins, size) of adaptive average pooling along one axis.

    Bin i is the mean of the samples from floor(i * size / bins) up to ceil((i + 1) * size / bins).

    Args:
        size: Samples; while a graph is traced, a tensor, so that the matrix follows the input.
        bins: Samples after pooling.
        device: Where the matrix goes.
    """
    samples = torch.arange(size, device=device)
    index = torch.arange(bins, device=device)[:, None]
    start = torch.div(index * size, bins, rounding_mode='floor')
    stop = torch.div((index + 1) * size + (bins - 1), bins, rounding_mode='floor')
    inside = (samples >= start) & (samples < stop)
    return inside.float() / (stop - start).float()


def adaptive_avg_pool2d(x: Tensor, output_size: int | tuple) -> Tensor:
    """``torch.nn.functional.adaptive_avg_pool2d`` as two products, exact for every size.

    ONNX has no adaptive pooling; PyTorch exports it only where the bins divide a fixed size.
    """
    pair = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    rows, columns = (pooling_matrix(size, bins, x.device).to(x.dtype) if bins is not None else None
                     for size, bins in zip(x.shape[-2:], pair))
    if rows is not None:
        x = rows @ x
    return x if columns is None else x @ columns.transpose(0, 1)


def _unflatten(x: Tensor, dim: int, sizes) -> Tensor:
    """``Tensor.unflatten`` without the sizes of the example written into the graph."""
    dim %= x.dim()
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1:])


class _DeformConv(torch.autograd.Function):
    """mmcv's deformable convolution that is exported as ONNX's ``DeformConv``."""

    @staticmethod
    def forward(ctx, x, offset, mask, weight, bias, stride, padding, dilation, groups,
                deform_groups):
        settings = (stride, padding, dilation, groups, deform_groups)
        # mmcv has no half precision on the CPU
        values = [None if value is None else value.float() for value in (x, offset, mask, weight)]
        if mask is None:
            out = DeformConv2dFunction.apply(values[0], values[1], values[3], *settings)
            if bias is not None:
                out = out + bias.float()[:, None, None]
        else:
            out = ModulatedDeformConv2dFunction.apply(
                *values, None if bias is None else bias.float(), *settings)
        return out.to(x.dtype)

    @staticmethod
    def symbolic(g, x, offset, mask, weight, bias, stride, padding, dilation, groups,
                 deform_groups):
        sizes = weight.type().sizes()
        inputs = [x, weight, offset]
        if bias is not None or mask is not None:
            # its place cannot be left empty in front of the mask
            inputs.append(bias if bias is not None else g.op(
                'Constant', value_t=torch.zeros(sizes[0], dtype=weight.type().dtype())))
        if mask is not None:
            inputs.append(mask)
        return g.op('DeformConv', *inputs, kernel_shape_i=sizes[2:], strides_i=stride,
                    pads_i=[*padding, *padding], dilations_i=dilation, group_i=groups,
                    offset_group_i=deform_groups)


def _deform_conv2d(x, offset, weight, stride=1, padding=0, dilation=1, groups=1, deform_groups=1,
                   bias=False, im2col_step=32):
    return _DeformConv.apply(x, offset, None, weight, None, _pair(stride), _pair(padding),
                             _pair(dilation), groups, deform_groups)


def _modulated_deform_conv2d(x, offset, mask, weight, bias, stride, padding, dilation, groups,
                             deform_groups):
    return _DeformConv.apply(x, offset, mask, weight, bias, _pair(stride), _pair(padding),
                             _pair(dilation), groups, deform_groups)


def _pair(value):
    return list(value) if isinstance(value, tuple | list) else [value, value]


class _NonMaxSuppression(torch.autograd.Function):
    """ONNX's ``NonMaxSuppression``."""

    @staticmethod
    def forward(ctx, boxes, scores, limit, iou_threshold):
        found = []
        for image, classes in enumerate(scores):
            for label, values in enumerate(classes):
                some = (values > 0).nonzero().flatten()
                if len(some):
                    keep = nms(boxes[image, some].contiguous(), values[some].contiguous(),
                               iou_threshold)[1][:limit]
                    found += [(image, label, box) for box in some[keep].tolist()]
        return torch.tensor(found, dtype=torch.long, device=boxes.device).view(-1, 3)

    @staticmethod
    def symbolic(g, boxes, scores, limit, iou_threshold):
        limits = [g.op('Constant', value_t=torch.tensor([value]))
                  for value in (limit, float(iou_threshold), 0.0)]
        return g.op('NonMaxSuppression', boxes, scores, *limits)


def non_max_suppression(boxes: Tensor, scores: Tensor, limit: int,
                        iou_threshold: float) -> Tensor:
    """NMS of every class of every image.

    Args:
        boxes: (B, N, 4), x1, y1, x2, y2.
        scores: (B, classes, N); boxes with score 0 take no part.
        limit: Boxes kept of a class, at most.
        iou_threshold: A box falls where its IoU with a better one is above it.

    Returns:
        int64 (kept, 3): image, class, box.
    """
    return _NonMaxSuppression.apply(boxes, scores, limit, iou_threshold)


def has_deformable(model: nn.Module) -> bool:
    """Whether a model needs ``DeformConv``."""
    return any(isinstance(module, DeformConv2d | ModulatedDeformConv2d)
               for module in model.modules())


@contextmanager
def exportable() -> Iterator[None]:
    """While it is active, modules run the forms above."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        for target, replacement in (
                ('mmcv.ops.deform_conv.deform_conv2d', _deform_conv2d),
                ('mmcv.ops.modulated_deform_conv.modulated_deform_conv2d',
                 _modulated_deform_conv2d)):
            stack.enter_context(mock.patch(target, replacement))
        stack.enter_context(mock.patch.object(F, 'adaptive_avg_pool2d', adaptive_avg_pool2d))
        stack.enter_context(mock.patch.object(Tensor, 'unflatten', _unflatten))
        # the fused attention of inference has no ONNX form
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
