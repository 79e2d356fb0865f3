"""What fits cost on this machine, measured on a part of the data that they are for."""
import gc
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np
from mmengine.config import Config

from ..config.reading import file_of, leaf_datasets, load_config
from ..datasets.coco_file import write_annotations
from .ceiling import ceiling_of
from .cost import Cost, measure_images, measure_steps
from .fit import Fit
from .objects import Objects
from .reading import AS_USUAL, Reading
from .reading_once import ReadOnce
from .rules import workers
from .sample import choose_images, objects_of
from .writing import BASE, config_text

#: Images that steps are measured on: so many, of no more pixels than these together.
_IMAGES, _PIXELS = 64, 2e8
#: Images with most objects that are among them: as many as a batch has at most.
_FULLEST = 4
#: Images and objects, about, whose ceiling is computed at several sizes.
_CEILING = 15, 150


class Measuring:
    """Measures fits to a data set; a context, which keeps pictures and files while it lasts.

    Args:
        train: Data to train on.
        device: Where.
        reading: How the image files are read.
    """

    def __init__(self, train: Objects, device: str, reading: Reading = AS_USUAL) -> None:
        self.train, self.device, self.reading = train, device, reading
        self._folder = tempfile.TemporaryDirectory()
        self._file = self._chosen = self._typical = None

    def __enter__(self) -> 'Measuring':
        self._froze = not gc.get_freeze_count()
        self._keep()
        return self

    def _keep(self):
        """Data sets and memory that is measured take many collections: they need not look through
        all annotations, nor through what the first step has imported."""
        if self._froze:
            gc.collect()
            gc.freeze()

    def __exit__(self, kind: type | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._froze:
            gc.unfreeze()
        ReadOnce.forget()
        self._folder.cleanup()

    def steps(self, one: Fit, precisions: tuple[str, ...]) -> Cost:
        """What a training step costs."""
        first = self._file is None
        found = measure_steps(self._config(one), self.device, precisions=precisions)
        if first:
            self._keep()
        return found

    def whole(self, one: Fit, cost: Cost) -> Cost:
        """The same cost, with that of inference."""
        return measure_images(self._config(one), cost, self.device)

    def ceiling(self, one: Fit, longest: int) -> float:
        """AP that it can reach on a few of the images, judged at that size at most."""
        if self._chosen is None:
            self._chosen = choose_images(self.train, *_CEILING)
        cfg = config_of(config_text(one, (absolute(self.train.path), absolute(self.train.folder)),
                                    None))
        # sizes were raced with these
        return max(0., ceiling_of(cfg, self.train, self._chosen, longest, by_heart=False).ap)

    def _config(self, one):
        if self._file is None:
            self._file, self._typical = few_images(self.train, self._folder.name)
        one = replace(one.with_workers(workers(self.device)), reading=self.reading)
        cfg = config_of(config_text(one, (self._file, absolute(self.train.folder)), None))
        dataset = next(leaf_datasets(cfg.train_dataloader.dataset))
        dataset.indices = self._typical
        steps = dataset.pipeline
        steps = steps[0].get('transforms', steps)
        steps[0] = dict(steps[0], type=ReadOnce)
        return cfg


def few_images(train: Objects, folder: str) -> tuple[str, int]:
    """Write a file of some of the images, with those annotations alone that can be learned.

    Args:
        train: Data to train on.
        folder: Where it is written.

    Returns:
        The file, and how many of its images, the first ones, were drawn at random: the others are
        what the largest batch is made of.
    """
    pixels = train.sizes.prod(1)
    tall = train.sizes[:, 0] / train.sizes[:, 1]
    rare = np.array(list(dict.fromkeys(
        [*np.argsort(-train.counts, kind='stable')[:_FULLEST].tolist(), int(tall.argmax()),
         int(tall.argmin())])))
    # as many as half of the pixels hold, but one
    rare = rare[:max(1, int((np.cumsum(pixels[rare]) <= _PIXELS / 2).sum()))]
    left = _PIXELS - pixels[rare].sum()
    count = int(min(_IMAGES, max(1, left // max(1, pixels.mean()))))
    drawn = choose_images(train, count, len(train)).tolist()
    chosen = drawn + [i for i in rare.tolist() if i not in drawn]
    images = [dict(id=i + 1, file_name=train.files[i], height=int(train.sizes[i, 0]),
                   width=int(train.sizes[i, 1])) for i in chosen]
    annotations = [
        dict(id=number + 1, image_id=i + 1, category_id=int(train.labels[number]) + 1, iscrowd=0,
             bbox=[*train.boxes[number, :2].tolist(),
                   *(train.boxes[number, 2:] - train.boxes[number, :2]).tolist()],
             area=float(train.areas[number]), segmentation=train.segments[number])
        for i in chosen for number in objects_of(train, i)]
    categories = [dict(id=i, name=name) for i, name in enumerate(train.classes, 1)]
    return write_annotations(dict(images=images, annotations=annotations, categories=categories),
                             str(Path(folder) / 'some.json')), len(drawn)


def absolute(path: str) -> str:
    """A path that holds from anywhere."""
    return str(Path(path).resolve())


def config_of(text: str) -> Config:
    """A config from its text, checked like one from a file."""
    # looking for a package takes longer than reading the file
    text = text.replace(repr(BASE), repr(file_of(BASE)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'planned.py'
        path.write_text(text, encoding='utf-8')
        return load_config(str(path))
