"""What a config costs, measured on this machine."""
import contextlib
import copy
import ctypes
import gc
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from ..analysis.complexity import complexity
from ..analysis.speed import peak_memory
from ..config.building import quiet
from ..config.reading import dicts_in, type_name
from ..training.winograd import use_winograd_gradients
from .largest import largest_batch
from .reading_once import ReadOnce
from .stopwatch import seconds_of, working_clock

#: Seconds of a precision's steps after which no more are taken.
_ENOUGH = 3.
#: Pixels of the longer side of the pictures that masks are drawn on, where they are not cut.
_LARGEST = 2048
#: Batches that are loaded, to choose a typical one of them.
_BATCHES = 4


@dataclass(frozen=True)
class Cost:
    """Cost of a config.

    Attributes:
        step: Seconds of a training step, loading included.
        load: Seconds that loading a batch takes, part of ``step`` or at the same time.
        memory: MiB that a step of the largest batch takes beyond what the process held before; NaN
            where unknown.
        low_precision: Whether bfloat16 was the faster one.
        first: Seconds more that an image takes when it is seen first, where it is kept then.
        image: Seconds of an image in inference, with its masks.
        image_memory: MiB that inference takes.
        params: Parameters of the model.
        macs: Multiply-adds of the network for one image.
    """
    step: float
    load: float
    memory: float
    low_precision: bool
    first: float = 0.
    image: float = math.nan
    image_memory: float = math.nan
    params: int = 0
    macs: int = 0


def build(cfg: Config, device: str | None = None) -> nn.Module:
    """The model of a config with its first weights, as training begins."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with quiet():
        model = MODELS.build(copy.deepcopy(cfg.model))
        model.init_weights()
    model.to(device or get_device())
    hooks = [type_name(hook) for hook in cfg.get('custom_hooks') or ()]
    if 'ChannelsLastHook' in hooks:
        model.to(memory_format=torch.channels_last)
    if 'WinogradHook' in hooks:
        use_winograd_gradients(model)
    return model


def batches_of(cfg: Config, count: int) -> tuple[list[dict], float]:
    """The first batches of the training data, and the seconds that loading one takes; no more than
    two where that is long."""
    loader = copy.deepcopy(cfg.train_dataloader)
    loader.update(num_workers=0, persistent_workers=False)
    with quiet():
        loader = Runner.build_dataloader(loader, seed=0)
    found = iter(loader)
    batches = [next(found)]  # the first one opens files
    clock, read = working_clock(), ReadOnce.spent()

    def loading():
        return max(0., clock() - (ReadOnce.spent() - read))
    while len(batches) < count and (len(batches) < 2 or loading() < _ENOUGH):
        batches.append(next(found))
    load = loading() / max(1, len(batches) - 1)
    size = len(batches[0]['inputs'])
    if _keeps(cfg):
        return batches, size * _kept_image(loader.dataset, size * count)
    # pictures that were read once here are read each time in training
    return batches, ReadOnce.a_picture() * size + load


def _kept_image(dataset, count):
    """Seconds that loading an image takes that is kept in memory."""
    spent, seconds = working_clock(), []
    for number in range(min(count, len(dataset))):
        dataset[number]
        clock = working_clock()
        dataset[number]
        seconds.append(clock())
        if spent() > _ENOUGH:
            break
    return sum(seconds) / len(seconds)


def _keeps(cfg):
    return any(type_name(step) == 'KeepInMemory' for step in dicts_in(cfg.train_dataloader))


def _typical(cfg):
    """(batch of as many objects as most, seconds that loading one takes)."""
    batches, load = batches_of(cfg, _BATCHES)
    return sorted(batches, key=lambda batch: sum(
        len(sample.gt_instances) for sample in batch['data_samples']))[len(batches) // 2], load


def measure_steps(cfg: Config, device: str | None = None, steps: int = 3,
                  precisions: Sequence[str] = ('float32', 'bfloat16')) -> Cost:
    """Train for a few steps.

    Times are those of :func:`.seconds_of`; of the precisions the faster one is taken.

    Args:
        cfg: With training data.
        device: ``'cpu'``, ``'cuda:0'``, ...; a GPU if there is one.
        steps: That count, of each precision; fewer where they are slow.
        precisions: That are tried.

    Returns:
        What is known without inference. Where processes beside the network load, ``load`` is
        what each of them adds, and a step takes the longer of the two.
    """
    device = device or get_device()
    # one batch in all steps that count, so that they differ by what disturbs them alone
    batch, load = _typical(cfg)
    with quiet(), ReadOnce.uncounted():
        largest = largest_batch(cfg)
    found = {}
    for precision in precisions:
        model = build(cfg, device).train()
        before = _from_here(device)
        wrapper = build_optim_wrapper(model, _wrapper(cfg, precision, device))

        # the first step does not count for the time, but for the memory
        batches = itertools.chain([largest], itertools.repeat(batch))

        def step(model=model, wrapper=wrapper, batches=batches):
            # a copy: what has been on the device once would not have to go there
            model.train_step(copy.deepcopy(next(batches)), wrapper)
        found[precision] = (seconds_of(step, device, steps, _ENOUGH), _held(device) - before)
    first = ReadOnce.a_picture() if _keeps(cfg) else 0.
    precision = min(found, key=lambda name: found[name][0])
    seconds, memory = found[precision]
    if workers := cfg.train_dataloader.get('num_workers', 0):
        # while the network computes: it waits where they are slower
        load /= workers
        return Cost(max(seconds, load), load, memory, precision == 'bfloat16', first)
    return Cost(seconds + load, load, memory, precision == 'bfloat16', first)


def measure_images(cfg: Config, cost: Cost, device: str | None = None) -> Cost:
    """Predict an image.

    Args:
        cfg: With training data.
        cost: Of its steps.
        device: As of :func:`measure_steps`.

    Returns:
        The same with what inference costs.
    """
    device = device or get_device()
    image, memory = _inference(build(cfg, device), _typical(cfg)[0], device,
                               cfg.get('tile') or _LARGEST)
    found = complexity(cfg, (cfg.scale[1], cfg.scale[0]) if 'scale' in cfg else None)
    return replace(cost, image=image, image_memory=memory, params=found.params, macs=found.macs)


def _wrapper(cfg, precision, device):
    low = precision == 'bfloat16'
    if device == 'cpu':
        return dict(cfg.optim_wrapper, type='BFloat16OptimWrapper' if low else 'OptimWrapper')
    return dict(cfg.optim_wrapper, type='AmpOptimWrapper' if low else 'OptimWrapper',
                **(dict(dtype='bfloat16') if low else {}))


@torch.no_grad()
def _inference(model, batch, device, largest):
    model.eval()
    before = _from_here(device)
    one = dict(inputs=batch['inputs'][:1], data_samples=batch['data_samples'][:1])
    for sample in one['data_samples']:
        # what an untrained network finds anywhere would take long to draw on a huge picture
        shrunk = min(1., largest / max(sample.ori_shape[:2]))
        shape = tuple(max(1, round(side * shrunk)) for side in sample.ori_shape[:2])
        sample.set_metainfo(dict(ori_shape=shape, batch_input_shape=None, scale_factor=(
            sample.img_shape[1] / shape[1], sample.img_shape[0] / shape[0])))
    seconds = seconds_of(lambda: model.test_step(copy.deepcopy(one)), device, 2)
    return seconds, _held(device) - before


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
    if device == 'cpu' or not torch.cuda.is_available():
        # unlike the peak that is had elsewhere, this one begins at _from_here
        with contextlib.suppress(OSError, StopIteration), open('/proc/self/status') as file:
            return int(next(line for line in file if line.startswith('VmHWM:')).split()[1]) / 2**10
    return peak_memory(device)
