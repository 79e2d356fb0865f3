"""3x3 convolutions with a quarter of the multiplications, for inference on a CPU.

F(4x4, 3x3) of A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks",
CVPR 2016, with the usual points 0, 1, -1, 2, -2 and infinity: a tile of 4x4 outputs takes 36
products instead of 144. The transforms are additions of whole rows of channels, so that
``torch.compile`` fuses each into one pass; without it they cost most of what is saved.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..training.winograd import module_suits

#: The transform of a 3x3 kernel, from each side.
_KERNEL = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
           (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))
#: Convolutions with fewer channels (of a group) win nothing.
MIN_CHANNELS = 64


def _forward(d):
    """Six inputs in a row to six points."""
    a, b, c, e = d[4] - 4 * d[2], d[3] - 4 * d[1], d[4] - d[2], 2 * (d[3] - d[1])
    return torch.stack((4 * d[0] - 5 * d[2] + d[4], a + b, a - b, c + e, c - e,
                        4 * d[1] - 5 * d[3] + d[5]))


def _inverse(m, dim):
    """Six points to four outputs in a row."""
    a, b, c, e = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return torch.stack((m[0] + a + c, b + 2 * e, a + 4 * c, b + 8 * e + m[5]), dim=dim)


class WinogradConv2d(nn.Module):
    """What a 3x3 convolution of stride 1 and padding 1 computes, up to rounding.

    The rounding error in float32 is about twenty times that of the direct sum: with 256 channels
    5e-6 to 1.1e-5 of the largest output, by the processor. It has no weights to train.

    Args:
        conv: See :func:`suits`; its kernel is transformed, and takes four times the memory.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.groups = conv.groups
        side = torch.tensor(_KERNEL, dtype=torch.float64, device=conv.weight.device)
        kernel = torch.einsum('yi,xj,ocij->xyco', side, side, conv.weight.detach().double())
        # a group's outputs lie together: (36, groups, inputs, outputs)
        kernel = kernel.unflatten(3, (conv.groups, -1)).movedim(3, 2).flatten(0, 1)
        self.register_buffer('kernel', kernel.to(conv.weight.dtype).contiguous())
        self.register_buffer('bias', None if conv.bias is None else conv.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, out, h, w)."""
        batch, channels, height, width = x.shape
        rows, columns = -(-height // 4), -(-width // 4)
        x = F.pad(x.permute(0, 2, 3, 1),
                  (0, 0, 1, 4 * columns + 1 - width, 1, 4 * rows + 1 - height))
        x = _forward([x[:, i:i + 4 * rows - 3:4] for i in range(6)])
        x = _forward([x[:, :, :, i:i + 4 * columns - 3:4] for i in range(6)])
        if self.groups == 1:
            x = torch.bmm(x.view(36, -1, channels), self.kernel[:, 0])
        else:
            x = x.view(36, -1, self.groups, channels // self.groups).transpose(1, 2)
            x = torch.matmul(x, self.kernel).transpose(1, 2)
        x = x.reshape(6, 6, batch, rows, columns, -1)
        x = _inverse(_inverse(x, 4), 2)
        if self.bias is not None:
            x = x + self.bias
        x = x.view(batch, 4 * rows, 4 * columns, -1)[:, :height, :width]
        return x.permute(0, 3, 1, 2)


def suits(module: nn.Module) -> bool:
    """Whether a module is a convolution that gets faster."""
    return module_suits(module, MIN_CHANNELS)


def use_winograd(model: nn.Module) -> nn.Module:
    """Replace the convolutions of a model that suit, in place."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if suits(child):
                setattr(module, name, WinogradConv2d(child))
    return model
