"""What a model found in one picture."""
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from mmengine.structures import InstanceData

from ..errors import UserError
from ..masks import RLEMasks, mask_areas, mask_boxes
from ..masks.outlines import Outline, outlines_of
from ..masks.runs import Crop, crop_of_rle
from ..visualization.frames import Mark


@dataclass
class Result:
    """The objects of one picture, the surest first.

    Masks are run lengths over the whole picture, as COCO has them: no bitmap of the picture is
    kept, :meth:`crop` gives the pixels of one object inside its bounds.

    Attributes:
        name: Of the picture, without ending: relative to what was given as the source.
        index: Place of the picture in its source.
        size: (height, width) of the picture in pixels.
        masks: N run lengths.
        scores: float32 (N,).
        labels: int64 (N,), places in ``classes``.
        boxes: float32 (N, 4), x1, y1, x2, y2, tight around the masks; x2 - x1 is a width.
        classes: Names of the classes.
        path: Of the picture's file, None for an array.
        image_id: Of the picture in a COCO file, None otherwise.
        image: uint8 (height, width, 3), BGR, where it was asked for.
        error: Why there is no result: the picture cannot be read.
        file: Name of the picture with its ending, as the source has it.
        film: Name of the film or camera that it is a frame of.
        frame: Number of the frame in the film, from 1 on.
        time: Seconds from the beginning of the film.
        track_ids: int64 (N,), the identity of each object, from 1 on, where they are tracked.
        marks: Lines and zones with what was counted so far, to be drawn.
    """
    name: str
    index: int
    size: tuple[int, int]
    masks: RLEMasks
    scores: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...] = ()
    path: str | None = None
    image_id: int | str | None = None
    boxes: np.ndarray | None = None
    image: np.ndarray | None = field(default=None, repr=False)
    error: str | None = None
    file: str | None = None
    film: str | None = None
    frame: int | None = None
    time: float | None = None
    track_ids: np.ndarray | None = None
    marks: Sequence[Mark] = field(default=(), repr=False)

    def __post_init__(self):
        self.scores = np.asarray(self.scores, np.float32)
        self.labels = np.asarray(self.labels, np.int64)
        if self.boxes is None:
            self.boxes = mask_boxes(self.masks).numpy()

    @classmethod
    def broken(cls, name: str, index: int, error: str, **origin: Any) -> 'Result':
        """Of a picture that cannot be read."""
        return cls(name, index, (0, 0), RLEMasks(), np.zeros(0), np.zeros(0), error=error,
                   **origin)

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: Any) -> 'Result':
        """The objects of a slice, a list of places or a bool array."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return self.with_objects([self.masks[i] for i in chosen], self.scores[chosen],
                                 self.labels[chosen], self.boxes[chosen],
                                 None if self.track_ids is None else self.track_ids[chosen])

    def with_objects(self, masks: Sequence[dict], scores: np.ndarray, labels: np.ndarray,
                     boxes: np.ndarray | None = None,
                     track_ids: np.ndarray | None = None) -> 'Result':
        """The same picture with other objects.

        Args:
            masks: N run lengths of the picture's size.
            scores: (N,).
            labels: (N,).
            boxes: (N, 4), read from the masks if not given.
            track_ids: (N,), none if not given.
        """
        return replace(self, masks=RLEMasks(masks, self.size), scores=scores, labels=labels,
                       boxes=boxes, track_ids=track_ids)

    @property
    def names(self) -> list[str]:
        """Class name of each object."""
        return [self.class_name(label) for label in self.labels]

    def class_name(self, label: int) -> str:
        """Name of a label; ``class 7`` where the model has no names."""
        return self.classes[label] if 0 <= label < len(self.classes) else f'class {label}'

    @property
    def numbers(self) -> list[int]:
        """What files call the objects: their identities, or else 1, 2, ..."""
        return list(range(1, len(self) + 1)) if self.track_ids is None else \
            self.track_ids.tolist()

    @property
    def areas(self) -> np.ndarray:
        """Pixels of each mask, int64 (N,)."""
        return mask_areas(self.masks)

    def crop(self, index: int) -> Crop:
        """Pixels of an object inside its bounds, and where they begin."""
        return crop_of_rle(self.masks[index])

    def crops(self) -> Iterator[Crop]:
        """:meth:`crop` of each object in turn."""
        return self.masks.crops()

    def outlines(self, index: int, simplify: float = 0) -> list[Outline]:
        """Polygons of an object: its parts with their holes.

        Args:
            index: Of the object.
            simplify: Pixels by which the outline may move to have fewer corners.
        """
        y, x, bitmap = self.crop(index)
        return outlines_of(bitmap, y, x, simplify)

    def bitmaps(self) -> np.ndarray:
        """All masks as bool (N, height, width): as large as that many pictures."""
        return self.masks.to_ndarray().astype(bool)

    def instances(self) -> InstanceData:
        """As mmdet has them: ``masks``, ``scores``, ``labels``, ``bboxes``."""
        import torch
        return InstanceData(masks=self.masks, scores=torch.from_numpy(self.scores),
                            labels=torch.from_numpy(self.labels),
                            bboxes=torch.from_numpy(self.boxes))

    def to_dict(self) -> dict:
        """Plain Python values that JSON can hold.

        Returns:
            ``name``, ``index``, ``path``, ``width``, ``height`` and ``objects``: for each
            ``label``, ``class``, ``score``, ``box`` (x, y, width, height), ``mask`` (run
            lengths of COCO as text) and, where it is tracked, ``track_id``. A frame of a film
            has ``film``, ``frame`` and ``time``, too.
        """
        objects = []
        for rle, score, label, box in zip(self.masks, self.scores.tolist(),
                                          self.labels.tolist(), self.boxes.tolist()):
            objects.append(dict(
                label=label, **{'class': self.class_name(label)}, score=score,
                box=[box[0], box[1], box[2] - box[0], box[3] - box[1]], mask=text_rle(rle)))
        if self.track_ids is not None:
            for one, number in zip(objects, self.track_ids.tolist(), strict=True):
                one['track_id'] = number
        place = {} if self.film is None else dict(film=self.film, frame=self.frame,
                                                  time=self.time)
        return dict(name=self.name, index=self.index, path=self.path, width=self.size[1],
                    height=self.size[0], **place, objects=objects)

    def to_supervision(self) -> Any:
        """As ``supervision.Detections``: class names in ``data``, identities in ``tracker_id``.

        Raises:
            UserError: Supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise UserError('supervision is not installed: pip install supervision') from error
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32).reshape(-1, 4),
            mask=self.bitmaps() if len(self) else None, confidence=self.scores,
            class_id=self.labels.astype(int),
            tracker_id=None if self.track_ids is None else self.track_ids.astype(int),
            data={'class_name': np.array(self.names, dtype=str)})


def text_rle(rle: dict) -> dict:
    """Run lengths with ``counts`` as text, for JSON."""
    counts = rle['counts']
    return dict(size=[int(side) for side in rle['size']],
                counts=counts.decode() if isinstance(counts, bytes) else counts)
