"""Mixed precision, where it saves time."""
import functools

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.device import get_device

from ..config.reading import type_name
from ..timing import fewest_seconds
from .distributed import from_the_first

#: bfloat16 that is not at least so fast, compared with float32, is emulated: between a ninth and a
#: third as fast, while instructions for it seldom lose even on small layers.
_WORTH = 0.5
#: (images, channels, height, width) of the convolution that is timed.
_SHAPE = 2, 64, 32, 32


@functools.cache
def bfloat16_speed() -> float:
    """How many times as fast as in float32 this CPU computes in bfloat16.

    With instructions for it (AVX512_BF16, AMX) it is up to three times as fast; a CPU without them
    emulates it, and takes up to ten times as long. Measured once a process, on a small convolution
    and its gradients, which takes some tenths of a second where it is emulated.
    """
    return _seconds(torch.float32) / _seconds(torch.bfloat16)


def _seconds(dtype):
    images = torch.ones(_SHAPE, dtype=dtype, requires_grad=True)
    weights = torch.full((_SHAPE[1], _SHAPE[1], 3, 3), 0.01, dtype=dtype, requires_grad=True)

    def step():
        with torch.enable_grad():
            F.conv2d(images, weights, padding=1).sum().backward()
    return fewest_seconds(step)


def slow_bfloat16() -> str | None:
    """What to say of bfloat16 on this CPU where it costs time; None where it does not."""
    speed = bfloat16_speed()
    if speed >= _WORTH:
        return None
    return ('this CPU has no instructions for bfloat16, which takes '
            f'{1 / speed:.1f} times as long as float32')


def set_mixed_precision(cfg: Config) -> str | None:
    """Train in float16 on a GPU, and on a CPU in bfloat16 if that is not slower.

    Args:
        cfg: With ``launcher``; changed in place.

    Returns:
        Why nothing was changed, where it was not.
    """
    on_cpu = get_device() == 'cpu'
    if on_cpu and (slow := from_the_first(cfg, slow_bfloat16)):
        return slow
    cfg.optim_wrapper.type = 'BFloat16OptimWrapper' if on_cpu else 'AmpOptimWrapper'
    cfg.optim_wrapper.pop('dtype', None)
    if on_cpu:
        cfg.optim_wrapper.pop('loss_scale', None)
    else:
        cfg.optim_wrapper.loss_scale = 'dynamic'
    return None


def slow_precision(cfg: Config) -> str | None:
    """A warning of a config, perhaps planned on another machine, whose precision costs time here;
    None where there is nothing to say."""
    if get_device() != 'cpu' or type_name(cfg.get('optim_wrapper') or {}) != 'BFloat16OptimWrapper':
        return None
    slow = slow_bfloat16()
    return slow and (f"optim_wrapper.type='BFloat16OptimWrapper': {slow}; --cfg-options "
                     'optim_wrapper.type=OptimWrapper trains in float32')
