"""Networks that give NaN, which exceeds no threshold: they seem to find no objects."""
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.amp import autocast
from torch import Tensor, nn

from ..text import printable

#: Pictures without objects that are looked at, of a run: each passes the network once more.
PICTURES = 8


@torch.no_grad()
def gives_nan(model: nn.Module, batch: dict, place: int = 0) -> bool:
    """Whether the network gives NaN for an image; on a GPU this waits for it.

    Args:
        model: A detector of mmdet; of others, which may lack the mode ``tensor``, nothing is known.
        batch: ``inputs`` and ``data_samples``, as ``test_step`` takes them.
        place: Of the image in the batch.
    """
    one = {key: values[place:place + 1] for key, values in batch.items()}
    model = getattr(model, 'module', model)
    try:
        outputs = model(**model.data_preprocessor(one, False), mode='tensor')
    except Exception:  # results are there already: looking at them stops nothing
        return False
    return any(bool(values.isnan().any()) for values in _tensors(outputs)
               if values.is_floating_point())


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, (dict, list, tuple)):
        for one in outputs.values() if isinstance(outputs, dict) else outputs:
            yield from _tensors(one)


class NaNSearch:
    """Looks at the first images of a run in which nothing is found."""

    def __init__(self) -> None:
        self._left = PICTURES

    def among(self, model: nn.Module, batch: dict,
              samples: Sequence[DetDataSample]) -> list[int]:
        """Places in a batch of the images that the network gives NaN for.

        Args:
            model: A detector.
            batch: ``inputs`` and ``data_samples``, as ``test_step`` takes them.
            samples: What the detector has made of them.
        """
        places = []
        for place, sample in enumerate(samples):
            if self._left and 'pred_instances' in sample and not len(sample.pred_instances) \
                    and batch['inputs'][place].numel():  # what is cut is looked at tile by tile
                self._left -= 1
                if gives_nan(model, batch, place):
                    places.append(place)
        return places


class NaNOutputsHook(Hook):
    """Says of a test that the network gives NaN, which its figures would hide."""

    def before_test(self, runner: Runner) -> None:
        self._search = NaNSearch()

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                        outputs: Sequence[DetDataSample] | None = None) -> None:
        if self._search is None:
            return
        with autocast(enabled=getattr(runner.test_loop, 'fp16', False)):
            places = self._search.among(runner.model, data_batch, outputs or ())
        if places:
            self._search = None  # once is enough
            path = outputs[places[0]].get('img_path', 'an image')
            runner.logger.warning(
                f'the network gives NaN for {printable(path, 200)}, '
                'so nothing is found there, and perhaps in others: test in bfloat16 or without '
                'half precision; if there is NaN then, too, the weights are of no use')
