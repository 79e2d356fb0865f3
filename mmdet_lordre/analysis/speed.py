"""How long a detector takes, part by part."""
from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..deployment.deformable_ops import use_known_operators
from ..deployment.network import Network, optimized_copy
from ..devices import synchronize

PARTS = ('backbone', 'neck', 'head', 'post-processing')


class TimedDetector:
    """A detector cut into its four parts.

    Args:
        model: A detector of mmdet with one head, in ``eval`` mode, on its device; it is copied.
        dtype: ``torch.float16`` or ``torch.bfloat16`` for mixed precision; None for float32.
        compiled: Each part of the network through ``torch.compile``, as a whole, for one size
            of images.
        fuse, channels_last, winograd: See :func:`~mmdet_lordre.deployment.network.optimized_copy`.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype | None = None,
                 compiled: bool = False, fuse: bool = False, channels_last: bool = False,
                 winograd: bool = False):
        self.model = use_known_operators(optimized_copy(model, fuse, channels_last, winograd))
        self.device = next(model.parameters()).device
        self.dtype, self.channels_last = dtype, channels_last
        network = Network(self.model)
        self.head = network.head
        parts = [self.model.backbone, self.model.neck if self.model.with_neck else nn.Identity(),
                 network.run_head]
        if compiled:
            parts = [torch.compile(part, fullgraph=True, dynamic=False) for part in parts]
        self.parts = parts

    @torch.no_grad()
    def run(self, images: Tensor, metas: list[dict], stop: bool = True) -> tuple[list, list]:
        """Detect.

        Args:
            images: Normalized images (B, 3, h, w) on the device.
            metas: Meta information of each.
            stop: Wait for the device after each part, not only at the end.

        Returns:
            Detections of each image, and the seconds of each part (of the whole if not
            ``stop``).
        """
        if self.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        half = (torch.autocast(self.device.type, self.dtype) if self.dtype
                else contextlib.nullcontext())
        times = [self._now()]
        with half:
            x = images
            for part in self.parts:
                x = part(x)
                if stop:
                    times.append(self._now())
            found = self.head.predict_by_feat(*x, batch_img_metas=metas, rescale=True)
        times.append(self._now())
        return found, np.diff(times).tolist()

    def _now(self):
        synchronize(self.device)
        return time.perf_counter()


@dataclass
class Timing:
    """Milliseconds of every run.

    Attributes:
        parts: Those of :data:`PARTS`, one list a run.
        total: One number a run. On a GPU runs of their own, without a stop after each part.
        detections: Detections of each run.
    """
    parts: list[list[float]] = field(default_factory=list)
    total: list[float] = field(default_factory=list)
    detections: list[int] = field(default_factory=list)

    def rows(self) -> list[tuple[str, float, float, float]]:
        """Name, median, and the 10th and 90th percentile of each part and of the whole."""
        columns = [*zip(PARTS, np.array(self.parts).T), ('total', np.array(self.total))]
        return [(name, *np.percentile(values, (50, 10, 90))) for name, values in columns]


def measure(detectors: list[TimedDetector], batches: list[tuple[Tensor, list[dict]]],
            repeat: int, warmup: int) -> list[Timing]:
    """Run detectors in turn, image by image.

    Args:
        detectors: On one device.
        batches: Images and their meta information; taken in turn.
        repeat: Runs of each detector that count.
        warmup: Runs before, which do not count.
    """
    timings = [Timing() for _ in detectors]
    for k in range(warmup + repeat):
        for detector, timing in zip(detectors, timings, strict=True):
            images, metas = batches[k % len(batches)]
            found, seconds = detector.run(images, metas)
            whole = sum(seconds)
            if detector.device.type == 'cuda':
                whole, = detector.run(images, metas, stop=False)[1]
            if k >= warmup:
                timing.parts.append([1e3 * value for value in seconds])
                timing.total.append(1e3 * whole)
                timing.detections.append(sum(len(one) for one in found))
    return timings


def peak_memory(device: torch.device | str) -> float:
    """Peak memory so far in MiB: what was allocated on a GPU, else what the process held.

    NaN without a GPU where Python cannot say (Windows).
    """
    if torch.device(device).type == 'cuda':
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:
        return float('nan')
    # macOS counts bytes, others KiB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == 'darwin' else 2**10)
