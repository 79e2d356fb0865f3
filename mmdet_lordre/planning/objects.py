"""The annotations as arrays: sides, classes and images of all objects at once."""
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pycocotools import mask as mask_api

from ..config.checks import HEADER_SECONDS
from ..datasets.annotation_rules import KEPT, annotation_problems
from ..datasets.coco_file import class_names, find_images, read_annotations, source_of
from ..datasets.image_rules import (
    annotated_as_stored,
    image_file_problems,
    listed_image_problems,
)
from ..datasets.repairs import Repairs
from ..datasets.units import refuse_other_units
from ..datasets.usable import usable_annotations
from ..errors import UserError
from ..text import quoted


@dataclass(frozen=True)
class Objects:
    """What a data set has to learn.

    Attributes:
        path: The annotation file.
        folder: Of its images.
        classes: Names in the order of the labels.
        files: File name of each image that can be learned.
        sizes: int (images, 2): height, width in pixels.
        images: int (N,) image of each object, an index into ``files``; not decreasing.
        labels: int (N,) class of each.
        boxes: float (N, 4): x1, y1, x2, y2 in pixels, inside the image.
        areas: float (N,) areas of the masks in pixels.
        segments: List of N polygons or run lengths, as in the file.
        not_learned: Numbers of the other annotations, by the reason why.
        wrong_images: What is wrong with images that cannot be learned.
        several_pages: Images of several pages, of which only the first is read.
        upright: Whether images were annotated as their orientation tags turn them.
    """
    path: str
    folder: str
    classes: tuple[str, ...]
    files: list[str]
    sizes: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    segments: list
    not_learned: dict[str, int]
    wrong_images: tuple[str, ...] = ()
    several_pages: tuple[str, ...] = ()
    upright: bool = True

    def __len__(self) -> int:
        return len(self.images)

    @property
    def counts(self) -> np.ndarray:
        """(images,) objects of each image."""
        return np.bincount(self.images, minlength=len(self.files))

    @property
    def counts_by_class(self) -> tuple[np.ndarray, np.ndarray]:
        """(K, 2) pairs of image and label that there are objects of, and (K,) how many."""
        return np.unique(np.stack([self.images, self.labels], 1), axis=0, return_counts=True)

    @property
    def longer(self) -> np.ndarray:
        """(N,) longer side in pixels of the image that each object is in."""
        return self.sizes.max(1)[self.images]

    @property
    def sides(self) -> np.ndarray:
        """(N,) square root of each box's area in pixels, what SOLO calls an object's scale."""
        width, height = (self.boxes[:, 2:] - self.boxes[:, :2]).T
        return np.sqrt(np.maximum(width, 1) * np.maximum(height, 1))

    @property
    def widths(self) -> np.ndarray:
        """(N,) mean width in pixels across the diagonal of the box: of a long and thin object, how
        thin it is."""
        width, height = (self.boxes[:, 2:] - self.boxes[:, :2]).T
        return self.areas / np.maximum(np.hypot(width, height), 1)

    def scale_to(self, longer: int, shorter: int) -> np.ndarray:
        """(images,) factor by which mmdet's ``Resize(keep_ratio=True)`` multiplies each image."""
        long, short = self.sizes.max(1), self.sizes.min(1)
        return np.minimum(longer / long, shorter / short)


def read_objects(data: dict, path: str, folder: str, seconds: float = 0,
                 upright: bool = True) -> Objects:
    """Gather the objects that training would learn.

    Args:
        data: COCO annotations, not changed.
        path: Their file.
        folder: Of the images.
        seconds: For looking at the image files; 0 to look at none.
        upright: Whether they are turned by their orientation tags.

    Raises:
        UserError: Nothing can be learned from them, and why.
    """
    said = source_of(data, path)
    data = Repairs(data, said).make(folder, upright).data
    classes = class_names(data, said)
    refuse_other_units(data, said)
    problems = list(annotation_problems(data, need_masks=True))
    problems += listed_image_problems(data, True)
    if seconds:
        problems += image_file_problems(data, folder, seconds, upright)
    usable = usable_annotations(data, problems)
    usable.demand_usable(said)
    bad = {p.index for p in problems if not p.of_image and p.treatment != KEPT}
    # of two images of one id one is left
    wrong = [p for p in problems if p.of_image and p.treatment != KEPT
             and p.kind != 'duplicate image id']
    gone = {data['images'][p.index].get('id') for p in wrong}
    # whatever is counted or measured is what training has without them
    said_of = {p.index: p.what for p in reversed(wrong)}  # the first of each
    entries = [image for i, image in enumerate(data['images']) if i not in said_of]
    image_of = {image['id']: i for i, image in enumerate(entries)}
    label_of = {category['id']: i for i, category in enumerate(data['categories'])}
    annotations = data.get('annotations', ())
    kept = [a for i, a in enumerate(annotations) if i not in bad and not a.get('iscrowd')
            and a.get('segmentation') and a['image_id'] not in gone]
    kept.sort(key=lambda a: image_of[a['image_id']])
    sizes = np.array([(image['height'], image['width']) for image in entries])
    images = np.array([image_of[a['image_id']] for a in kept], int)
    boxes = np.array([a['bbox'] for a in kept], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    limits = np.tile(sizes[images][:, ::-1], 2)
    boxes = np.clip(boxes, 0, limits)
    return Objects(
        path, folder, classes, [image['file_name'] for image in entries], sizes, images,
        np.array([label_of[a['category_id']] for a in kept], int), boxes,
        _areas(kept, boxes), [a['segmentation'] for a in kept],
        dict(usable.reasons.most_common()), tuple(said_of[i] for i in sorted(said_of)),
        tuple(str(p) for p in problems if p.kind == 'several pages'), upright)


def read_both(train: str, train_images: str | None = None, val: str | None = None,
              val_images: str | None = None, classes: Sequence[str] | None = None,
              seconds: float = HEADER_SECONDS, crowd_as_instances: bool = False
              ) -> tuple[Objects, Objects | None]:
    """Training and, where given, validation data, with the same labels.

    Args:
        train, val: COCO files.
        train_images, val_images: Folders of their images.
        classes: In the order of the labels; those of the training data if not given.
        seconds: For looking whether image files are there, and as large as the annotations say;
            0 where that has been done.
        crowd_as_instances: Take crowd regions as objects.

    Raises:
        UserError: A file cannot be read, or nothing of it can be learned; or an object is of none
            of the classes.
    """
    files = [(path, _annotations(path, crowd_as_instances), images)
             for path, images in ((train, train_images), (val, val_images)) if path]
    files = [(data, str(path), find_images(data, path, images)) for path, data, images in files]
    upright = not annotated_as_stored([(data, folder) for data, _, folder in files])
    read = [read_objects(*file, seconds, upright) for file in files]
    classes = tuple(classes or read[0].classes)
    found = [relabeled(objects, classes, train) for objects in read]
    return found[0], found[1] if val else None


def _annotations(path, crowd_as_instances):
    data = read_annotations(path)
    if crowd_as_instances:
        data = dict(data, annotations=[dict(a, iscrowd=0) for a in data.get('annotations', ())])
    return data


def relabeled(objects: Objects, classes: tuple[str, ...], source: str) -> Objects:
    """The same objects with labels by the order of other classes.

    Args:
        objects: Of a data set.
        classes: All that its objects have, and perhaps more.
        source: Where the classes come from, for the message.

    Raises:
        UserError: An object is of none of the classes.
    """
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of.get(name, -1) for name in objects.classes])[objects.labels]
    if (labels < 0).any():
        name = objects.classes[objects.labels[(labels < 0).argmax()]]
        raise UserError(f'{objects.path}: an annotation is of category {quoted(name)}, which '
                        f'{source} does not have')
    return replace(objects, classes=classes, labels=labels)


def _areas(annotations, boxes):
    """Areas as annotated, or of the masks where a tool has written that of the box."""
    of_box = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    areas = np.array([a['area'] for a in annotations], float)
    for i in np.flatnonzero((areas >= 0.99 * of_box) | (areas <= 0)):
        areas[i] = _area(annotations[i]['segmentation'])
    return np.clip(areas, 1, np.maximum(of_box, 1))


def _area(segment):
    if isinstance(segment, dict):
        counts = segment['counts']
        return sum(counts[1::2]) if isinstance(counts, list) else float(mask_api.area(segment))
    area = 0.
    for polygon in segment:
        x, y = np.reshape(np.asarray(polygon, float), (-1, 2)).T
        area += abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    return area
