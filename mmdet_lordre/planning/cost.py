"""What a config costs, measured on this machine."""
import contextlib
import copy
import ctypes
import gc
import io
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from ..analysis.complexity import complexity

#: Seconds of a precision's steps after which no more are taken.
_ENOUGH = 3.


@dataclass(frozen=True)
class Cost:
    """Cost of a config.

    Attributes:
        step: Seconds of a training step, loading included.
        image: Seconds of an image in inference, with its masks.
        load: Seconds that loading a batch takes, part of ``step``.
        memory: MiB that a step takes beyond what the process held before; NaN where unknown.
        image_memory: The same of inference.
        params: Parameters of the model.
        macs: Multiply-adds of the network for one image.
        low_precision: Whether bfloat16 was the faster one.
    """
    step: float
    image: float
    load: float
    memory: float
    image_memory: float
    params: int
    macs: int
    low_precision: bool = False


def build(cfg: Config, device: str | None = None) -> nn.Module:
    """The model of a config with its first weights, as training begins."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with _quiet():
        model = MODELS.build(copy.deepcopy(cfg.model))
        model.init_weights()
    model.to(device or get_device())
    if any('ChannelsLast' in str(hook.get('type')) for hook in cfg.get('custom_hooks') or ()):
        model.to(memory_format=torch.channels_last)
    return model


@contextlib.contextmanager
def _quiet():
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)


def batches_of(cfg: Config, count: int) -> tuple[list[dict], float]:
    """The first batches of the training data, and the seconds that loading one takes."""
    loader = copy.deepcopy(cfg.train_dataloader)
    loader.update(num_workers=0, persistent_workers=False)
    with _quiet():
        loader = Runner.build_dataloader(loader, seed=0)
    found = iter(loader)
    batches = [next(found)]  # the first one opens files
    seconds = [_time(lambda: batches.append(next(found)), 'cpu') for _ in range(count - 1)]
    return batches, sum(seconds) / max(1, count - 1)


def measure(cfg: Config, device: str | None = None, steps: int = 4,
            precisions: Sequence[str] = ('float32', 'bfloat16')) -> Cost:
    """Train for a few steps and predict a few images.

    Times are the medians after a first step that does not count; of the precisions the faster one
    is taken.

    Args:
        cfg: With training data.
        device: ``'cpu'``, ``'cuda:0'``, ...; a GPU if there is one.
        steps: That count, of each precision; fewer where they are slow.
        precisions: That are tried.
    """
    device = device or get_device()
    batches, load = batches_of(cfg, min(steps + 1, 4))
    workers = cfg.train_dataloader.get('num_workers', 0)
    found = {}
    for precision in precisions:
        model = build(cfg, device).train()
        before = _from_here(device)
        wrapper = build_optim_wrapper(model, _wrapper(cfg, precision, device))
        seconds = []
        for k in range(steps + 1):
            # copies: what has been on the device once would not have to go there
            batch = copy.deepcopy(batches[k % len(batches)])
            seconds.append(_time(partial(model.train_step, batch, wrapper), device))
            if k and sum(seconds) > _ENOUGH:
                break
        seconds = seconds[1:]
        found[precision] = (sorted(seconds)[len(seconds) // 2], model, _held(device) - before)
    precision = min(found, key=lambda name: found[name][0])
    seconds, model, memory = found[precision]
    image, image_memory = _inference(model, batches[0], device)
    cost = complexity(cfg, (cfg.scale[1], cfg.scale[0]) if 'scale' in cfg else None)
    return Cost(seconds + (0 if workers else load), image, load, memory, image_memory, cost.params,
                cost.macs, precision == 'bfloat16')


def _wrapper(cfg, precision, device):
    low = precision == 'bfloat16'
    if device == 'cpu':
        return dict(cfg.optim_wrapper, type='BFloat16OptimWrapper' if low else 'OptimWrapper')
    return dict(cfg.optim_wrapper, type='AmpOptimWrapper' if low else 'OptimWrapper',
                **(dict(dtype='bfloat16') if low else {}))


@torch.no_grad()
def _inference(model, batch, device):
    model.eval()
    before = _from_here(device)
    one = dict(inputs=batch['inputs'][:1], data_samples=batch['data_samples'][:1])
    for sample in one['data_samples']:
        sample.set_metainfo(dict(ori_shape=sample.ori_shape, batch_input_shape=None))
    seconds = [_time(lambda: model.test_step(copy.deepcopy(one)), device) for _ in range(3)]
    return sorted(seconds)[1], _held(device) - before


def _time(call, device):
    """Seconds of a call; of a process that has to wait for others those that it computed."""
    start, worked = time.perf_counter(), time.process_time()
    call()
    if device != 'cpu':
        torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    return seconds if device != 'cpu' else min(seconds, time.process_time() - worked)


def _from_here(device):
    """MiB held now; from here on :func:`_held` counts, where that can be had."""
    if device != 'cpu' and torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # Linux with glibc
        ctypes.CDLL(None).malloc_trim(0)
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')  # the peak is what is held now
    return _held(device)


def _held(device):
    """MiB held at most so far: by the process, or on the GPU."""
    if device != 'cpu' and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated(device) / 2**20
    with contextlib.suppress(OSError, StopIteration), open('/proc/self/status') as file:
        return int(next(line for line in file if line.startswith('VmHWM:')).split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # Windows
        return float('nan')
    # macOS counts bytes, others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == 'darwin' else 2**10)
