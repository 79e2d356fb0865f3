"""Steps of a training pipeline whose results are kept: large pictures are read once."""
import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmdet.registry import TRANSFORMS

from ..masks import LazyMasks

_ABSENT = object()


@TRANSFORMS.register_module()
class KeepInMemory(BaseTransform):
    """Do the first steps of a pipeline once for every image, and keep what comes out.

    Reading a photograph of 12 megapixels takes longer than learning from it at 320 px. A ``Resize``
    as the last of these steps makes pictures small enough to be kept::

        dict(type='KeepInMemory', transforms=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='Resize', scale=(640, 640), keep_ratio=True)])

    What is returned may be changed by later steps. Once the memory is full, other images are read
    whenever they are drawn, as without it. An image is known by ``img_path`` and ``img_id``.

    Args:
        transforms: Steps that come out the same each time.
        gib: GiB of pictures and annotations that all loading processes keep together.
        shared: Hand out arrays as they are kept, read-only, in place of copies: to cut a part of a
            large picture takes less time than to copy it. A later step that changes one in place
            is stopped by NumPy.

    Raises:
        ValueError: One of the steps draws by chance; ``gib`` is negative.
    """

    def __init__(self, transforms: Sequence[dict | Callable], gib: float = 2.,
                 shared: bool = False) -> None:
        if not gib >= 0:
            raise ValueError(f'gib={gib} is negative')
        self.steps, self.gib, self.shared = Compose(transforms), gib, shared
        for step in self.steps.transforms:
            # mmcv's list of what draws by chance
            if getattr(step, '_methods_with_randomness', ()):
                raise ValueError(f'KeepInMemory: {type(step).__name__} draws by chance, and would '
                                 'be kept as it was drawn first: put it behind KeepInMemory')
        self._kept: dict[tuple, dict] = {}
        self._left = None

    def transform(self, results: dict) -> dict | None:
        """Results of the steps; None where they leave the image out."""
        key = results.get('img_path'), results.get('img_id')
        if key not in self._kept:
            before = dict(results)
            results = self.steps(results)
            if results is None:
                return None
            changed = {name: value for name, value in results.items()
                       if before.get(name, _ABSENT) is not value}
            if not self._has_room(changed):
                return results
            self._kept[key] = changed
        return {**results, **{name: self._given(value)
                              for name, value in self._kept[key].items()}}

    def _given(self, value):
        if self.shared and isinstance(value, np.ndarray):
            value = value.view()
            value.flags.writeable = False
            return value
        # outlines are never changed, and what is drawn of the copy is forgotten with it
        return value[:] if isinstance(value, LazyMasks) else copy.deepcopy(value)

    def _has_room(self, values):
        if self._left is None:
            info = torch.utils.data.get_worker_info()
            self._left = self.gib * 2**30 / (info.num_workers if info else 1)
        size = sum(_bytes(value) for value in values.values())
        if size > self._left:
            return False
        self._left -= size
        return True

    def __getstate__(self) -> dict:
        # a process that begins reads for itself
        return dict(self.__dict__, _kept={}, _left=None)

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(transforms={self.steps.transforms}, gib={self.gib}, '
                f'shared={self.shared})')


def _bytes(value):
    """Memory of what a step makes, with run lengths, boxes and whatever else an object holds."""
    if hasattr(value, 'nbytes'):
        return value.nbytes
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict | list | tuple):
        return sum(map(_bytes, value.values() if isinstance(value, dict) else value))
    return _bytes(vars(value)) if hasattr(value, '__dict__') else 8
