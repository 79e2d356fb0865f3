"""What every reader of a format makes: COCO annotations, and a word on what did not survive."""
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pycocotools import mask as mask_api

from ...errors import UserError
from ...masks import bounds_of
from ...text import plural, printable, quoted
from ..annotation_rules import MOST_PIXELS, mask_problem, size_problem
from ..coco_file import SOURCE, clean_name, read_annotations, write_annotations
from ..image_rules import image_size

#: Name of the class where a format has none.
OBJECT = 'object'


@dataclass
class CocoData:
    """One part of a data set.

    Attributes:
        folder: Of the images: what the file names are relative to.
        format: Name of the format, for people.
        source: File or folder that it was read from.
        notes: What was repaired and what was lost, a sentence each, printable.
        ann_file: The COCO file, where the source is one that training can read.
    """
    folder: str
    format: str
    source: str
    notes: list[str] = field(default_factory=list)
    ann_file: str | None = None
    _data: dict | None = None

    @property
    def data(self) -> dict:
        """COCO annotations, not to be changed. Those of a COCO file are read when asked for."""
        return read_annotations(self.ann_file or self.source) if self._data is None else self._data

    def line(self) -> str | None:
        """What to say of it in one line; None where nothing was changed."""
        if self.ann_file is not None and not self.notes:
            return None
        text = f'{printable(self.source)}: read as {self.format}'
        if self.ann_file is None:
            annotations = self.data.get('annotations')
            text += (f' ({plural(len(self.data["images"]), "image")}, '
                     + ('no annotations' if annotations is None else
                        plural(len(annotations), 'object')) + ')')
        return '; '.join([text, *self.notes])

    def save(self, folder: str, part: str = '') -> str:
        """A COCO file of these annotations: the source itself, or a new file.

        Args:
            folder: Where a new file is written, whole or not at all.
            part: 'train', 'val' or 'test', for its name.

        Returns:
            Its path.

        Raises:
            UserError: It cannot be written.
        """
        if self.ann_file is not None:
            return self.ann_file
        name = f'{self.source}-{part}' if part else self.source
        return write_annotations({**self.data, SOURCE: self.source}, clean_name(name, folder))


class Builder:
    """Collects what a reader finds, for all parts of a data set; the parts share their classes.

    Args:
        format: Name of the format.
        source: File or folder that is read.
        folder: Of the images.
        classes: Names in their order; None to take those that objects have, in the order of the
            alphabet.
    """

    def __init__(self, format: str, source: str, folder: str,
                 classes: Sequence[str] | None = None):
        self.format, self.source, self.folder = format, str(source), str(folder)
        self.classes = None if classes is None else list(classes)
        self.parts: dict[str, tuple[list, list]] = {}
        self.lost: dict[str, Counter] = {}
        self._part = ''
        self.notes: list[str] = []
        self._notes_of: dict[str, list[str]] = {}

    def image(self, part: str, name: str, width: int | None = None,
              height: int | None = None) -> dict:
        """Add an image; its size is read from its file where it is not given.

        Args:
            part: 'train', 'val' or 'test'.
            name: Of its file, relative to the folder.
            width, height: In pixels.
        """
        self._part = part
        images, _ = self.parts.setdefault(part, ([], []))
        if width is None or height is None:
            width, height = image_size(os.path.join(self.folder, name)) or (None, None)
        entry = dict(id=len(images) + 1, file_name=name, width=width, height=height)
        images.append(entry)
        return entry

    def add(self, part: str, image: dict, name: str, segmentation: list | dict | None,
            crowd: bool = False, box: Sequence[float] | None = None) -> None:
        """Add an object.

        Args:
            part: Of its image.
            image: As :meth:`image` gave it.
            name: Of its class.
            segmentation: Polygons, run lengths, or nothing.
            crowd: Whether it is a region of several objects.
            box: [x, y, width, height] where there is no mask.
        """
        annotations = self.parts[part][1]
        entry = dict(id=len(annotations) + 1, image_id=image['id'], category_id=name,
                     iscrowd=int(crowd), segmentation=segmentation or [])
        if segmentation and mask_problem(segmentation, image) is None:
            height, width = image['height'], image['width']
            encoded = segmentation if isinstance(segmentation, dict) else mask_api.merge(
                mask_api.frPyObjects(segmentation, height, width))
            if isinstance(encoded['counts'], list):
                encoded = mask_api.frPyObjects(encoded, height, width)
            entry.update(bbox=bounds_of([encoded])[0].astype(float).tolist(),
                         area=float(mask_api.area(encoded)))
        else:
            # a mask that cannot be drawn has any box, so that the rules of masks name it
            box = (0, 0, 1, 1) if box is None else box
            entry.update(bbox=[float(v) for v in box], area=float(box[2]) * float(box[3]))
        annotations.append(entry)

    def lose(self, what: str, count: int = 1) -> None:
        """Count something of the last image that does not survive."""
        self.lost.setdefault(self._part, Counter())[what] += count

    def note(self, text: str, part: str | None = None) -> None:
        """Say something, once: of one part, or of all."""
        text = printable(text, 300)
        notes = self.notes if part is None else self._notes_of.setdefault(part, [])
        if text not in notes:
            notes.append(text)

    def list_classes(self, listed: Sequence[str]) -> None:
        """Take the classes that the source lists, then those that only its objects name."""
        seen = {entry['category_id'] for _, annotations in self.parts.values()
                for entry in annotations}
        self.classes = [*listed, *sorted(seen - set(listed))]

    def finish(self) -> dict[str, CocoData]:
        """The parts, with their classes numbered from 1.

        Raises:
            UserError: There is no image.
        """
        if not any(images for images, _ in self.parts.values()):
            raise UserError(f'{printable(self.source)}: read as {self.format}, it has no images')
        if self.classes is None:
            self.list_classes([])
        numbers = {name: number for number, name in enumerate(self.classes, 1)}
        found = {}
        for part, (images, annotations) in self.parts.items():
            for entry in annotations:
                entry['category_id'] = numbers[entry['category_id']]
            data = dict(images=images, annotations=annotations,
                        categories=[dict(id=number, name=name)
                                    for name, number in numbers.items()])
            notes = [*self.notes, *self._notes_of.get(part, []),
                     *(f'left out: {what} ({count})'
                       for what, count in self.lost.get(part, {}).items())]
            found[part] = CocoData(self.folder, self.format, self.source, notes, _data=data)
        return found


def refuse_boxes_alone(source: str, boxes: int, others: int, what: str = 'rectangles') -> None:
    """Refuse data of which every shape is a box.

    Args:
        source: What was read.
        boxes, others: Shapes.
        what: The boxes are called.

    Raises:
        UserError: Saying what could be done.
    """
    if boxes and not others:
        raise UserError(f'{source}: all {boxes} shapes are {what}: these are data for detectors; '
                        'annotate outlines or masks, or make masks from the boxes with a '
                        'segmentation model first')


def checked_size(width: object, height: object, what: str) -> tuple[int, int]:
    """Width and height that a file says, as whole numbers.

    Args:
        width, height: Numbers, or text of them.
        what: File and image, for the message.

    Raises:
        UserError: They are no size of an image.
    """
    sides = []
    for side in (width, height):
        try:
            number = float(side)
            sides.append(int(number) if number == int(number) else -1)
        except (TypeError, ValueError, OverflowError):
            sides.append(-1)
    if size_problem(dict(width=sides[0], height=sides[1])):
        raise UserError(f'{what}: {quoted(width, 20)}x{quoted(height, 20)} is no size of an image '
                        f'(up to {MOST_PIXELS} pixels)')
    return sides[0], sides[1]
