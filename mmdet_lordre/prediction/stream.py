"""Pictures in, results out, one after the other: read ahead, in batches, in bounded memory."""
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from mmdet.structures import DetDataSample
from torch import nn

from ..errors import UserError
from ..evaluation.nan_outputs import NaNSearch
from ..masks import RLEMasks, encode_masks, mask_boxes
from .pictures import BrokenPictureError, Picture
from .preparation import Preparation
from .result import Result
from .settings import Settings
from .thresholds import at_labels

#: Batches that pictures of one size are sought in.
_STRETCH = 4
#: What becomes of a result beside the network, in a thread: the same or another result.
Finish = Callable[[Result, Picture], Result]


class _Ready(NamedTuple):
    """A picture that is read and prepared; ``inputs`` is None where it is broken."""
    picture: Picture
    pixels: np.ndarray | None
    inputs: dict | None
    error: str | None = None


class Stream:
    """A model that pictures go through.

    Reading, preparing and finishing run in threads, at most a few pictures ahead of the network.
    Batches are of pictures of one size, sought in a stretch of a few batches, so that results
    keep the order of the pictures and nothing is padded for the sake of another picture.

    Args:
        model: From :func:`~mmdet_lordre.models.build_model`.
        settings: How.
        keep_image: Whether results hold the picture.
    """

    def __init__(self, model: nn.Module, settings: Settings, keep_image: bool = False):
        self.model, self.settings, self.keep_image = model, settings, keep_image
        self.classes = tuple(model.dataset_meta.get('classes') or ())
        self.lowest = settings.network_scores(self.classes)
        self.prepare = Preparation(model.cfg)
        self._nan = NaNSearch()

    def run(self, pictures: Iterable[Picture], finish: Finish | None = None) -> Iterator[Result]:
        """Results in the order of the pictures; broken ones have ``error``.

        Args:
            pictures: Read one by one; not ahead of the network where they are ``live``.
            finish: Called in a thread for each result, broken ones too.
        """
        live = getattr(pictures, 'live', False)
        with ThreadPoolExecutor(self.settings.workers, 'prediction') as pool:
            waiting: deque[Future] = deque()
            try:
                for stretch in self._stretches(pool, pictures, live):
                    waiting.extend(self._predict(pool, stretch, finish))
                    while len(waiting) > 2 * self.settings.workers + len(stretch):
                        yield waiting.popleft().result()
                    while waiting and (live or waiting[0].done()):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _stretches(self, pool, pictures, live) -> Iterator[list[_Ready]]:
        """Pictures that are read, some at a time, in their order."""
        size = 1 if live else self.settings.batch
        length = 1 if size == 1 else _STRETCH * size
        pictures, ahead = iter(pictures), deque()
        while True:
            more = length + (0 if live else self.settings.workers) - len(ahead)
            ahead.extend(pool.submit(self._ready, p) for p in itertools.islice(pictures, more))
            if not ahead:
                return
            yield [ahead.popleft().result() for _ in range(min(length, len(ahead)))]

    def _ready(self, picture: Picture) -> _Ready:
        try:
            pixels = self.prepare.read(picture)
            return _Ready(picture, pixels, self.prepare(pixels, picture))
        except BrokenPictureError as error:
            return _Ready(picture, None, None, str(error))

    def _predict(self, pool, stretch, finish) -> list[Future]:
        groups: dict[tuple, list[int]] = {}
        for place, ready in enumerate(stretch):
            if ready.inputs is not None:
                groups.setdefault(tuple(ready.inputs['inputs'].shape), []).append(place)
        samples: dict[int, DetDataSample] = {}
        for group in groups.values():
            for start in range(0, len(group), self.settings.batch):
                places = group[start:start + self.settings.batch]
                found = self.samples([stretch[place].inputs for place in places])
                samples.update(zip(places, found, strict=True))
        return [pool.submit(self._finish, ready, samples.get(place), finish)
                for place, ready in enumerate(stretch)]

    @torch.no_grad()
    def samples(self, inputs: list[dict]) -> list[DetDataSample]:
        """The network on a batch: data samples with ``pred_instances``."""
        samples = [one['data_samples'] for one in inputs]
        for sample in samples:  # said here, and not in the head, which other threads use as well
            sample.set_metainfo(dict(mask_format='rle'))
        batch = dict(inputs=[one['inputs'] for one in inputs], data_samples=samples)
        found = self.model.test_step(batch)
        for place in self._nan.among(self.model, batch, found):
            found[place].set_metainfo(dict(nan=True))
        return found

    def _finish(self, ready: _Ready, sample: DetDataSample | None,
                finish: Finish | None) -> Result:
        picture = ready.picture
        try:
            result = Result.broken(error=ready.error, **picture.origin) if sample is None else \
                self.result_of(sample, picture, ready.pixels)
        except BrokenPictureError as error:
            result = Result.broken(error=str(error), **picture.origin)
        return result if finish is None else finish(result, picture)

    def result_of(self, sample: DetDataSample, picture: Picture, pixels: np.ndarray) -> Result:
        """What is kept of a data sample.

        Args:
            sample: What the model found.
            picture: Where.
            pixels: Of the picture, BGR, uint8 (H, W, 3).

        Raises:
            UserError: The model gives no masks.
            BrokenPictureError: It gives NaN.
        """
        if sample.get('nan'):
            raise BrokenPictureError('the network gives NaN for it')
        found = sample.pred_instances
        if 'masks' not in found:
            raise UserError(f'{type(self.model).__name__} gives no masks, only boxes: results are '
                            'made of masks')
        scores, labels = found.scores.detach().cpu(), found.labels.detach().cpu()
        lowest = torch.from_numpy(at_labels(self.lowest, labels.numpy()))
        kept = (scores >= lowest).nonzero().flatten()
        kept = kept[scores[kept].argsort(descending=True, stable=True)]
        size = tuple(int(side) for side in pixels.shape[:2])
        if isinstance(found.masks, RLEMasks):
            masks = RLEMasks([found.masks[i] for i in kept.tolist()], size)
        else:
            masks = found.masks
            masks = encode_masks(masks[kept.to(masks.device)] if isinstance(masks, torch.Tensor)
                                 else np.asarray(masks)[kept.numpy()])
            masks.size = size
        return Result(size=size, masks=masks, scores=scores[kept].numpy(),
                      labels=labels[kept].numpy(), classes=self.classes,
                      boxes=mask_boxes(masks).numpy(), image=pixels if self.keep_image else None,
                      **picture.origin)
