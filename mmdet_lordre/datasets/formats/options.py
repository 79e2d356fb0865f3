"""What a reader cannot see by looking, and people may say."""
import re
from dataclasses import dataclass

from .coco_data import OBJECT

#: Parts of a data set, by the words that files and folders are named with.
_PARTS = {'train': 'train|training|trn', 'val': 'val|valid|validation|dev',
          'test': 'test|testing|tst'}


@dataclass(frozen=True)
class Options:
    """How a source is read.

    Attributes:
        images: Folder of the images, where it is not in the source.
        class_name: Of objects in formats without classes.
        trusted: The format was named: what looks like another kind of data is none.
        need_images: Whether the images of a COCO file are looked for.
    """
    images: str | None = None
    class_name: str = OBJECT
    trusted: bool = False
    need_images: bool = True


def part_of(name: str) -> str | None:
    """'train', 'val' or 'test' for the name of a file or folder that says so, else None."""
    for part, words in _PARTS.items():
        if re.search(rf'(?<![a-z])({words})(?![a-z])', name.lower()):
            return part
    return None


def part_of_folders(name: str) -> str | None:
    """The part that one of the folders in a path stands for, else None.

    Args:
        name: Of a file, with ``/``.
    """
    found = (part_of(folder) for folder in name.split('/')[:-1])
    return next((part for part in found if part), None)
