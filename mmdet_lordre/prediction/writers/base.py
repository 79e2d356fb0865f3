"""What every writer is and has."""
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...files import UNFINISHED
from ..frames import Frames
from ..result import Result

#: All results of a run in their order, from the start each time it is called.
Results = Callable[[], Iterator[Result]]


@dataclass
class Context:
    """What writers share.

    Attributes:
        folder: Everything is written in it.
        classes: Names of the classes.
        palette: A color (R, G, B) for each, or None.
        category_ids: COCO category id of each label; label + 1 if not given.
        categories: Categories of the source, where it is a COCO file.
        simplify: Pixels by which polygons may move to have fewer corners.
        mm_per_pixel: Side of a pixel in millimeters; measures are in pixels without it.
        frames: The films or the camera that pictures are frames of.
        tracked: Whether objects have identities.
    """
    folder: Path
    classes: tuple[str, ...] = ()
    palette: list | None = None
    category_ids: list[int] | None = None
    categories: list[dict] | None = None
    simplify: float = 0
    mm_per_pixel: float | None = None
    frames: Frames | None = None
    tracked: bool = False
    _made: set = field(default_factory=set, repr=False)

    def path(self, *parts: str) -> Path:
        """A path in the folder, whose own folder is there."""
        path = self.folder.joinpath(*parts)
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        return path

    def category_id(self, label: int) -> int:
        """COCO category id of a label."""
        ids = self.category_ids
        return ids[label] if ids is not None and label < len(ids) else label + 1

    def lacking(self) -> list[dict]:
        """COCO categories of the classes that the source has none for."""
        there = {category['id'] for category in self.categories or []}
        return [dict(id=self.category_id(label), name=name)
                for label, name in enumerate(self.classes)
                if self.category_id(label) not in there]

    def category_list(self) -> list[dict]:
        """COCO categories: those of the source, and the classes that it lacks."""
        return list(self.categories or []) + self.lacking()


class Writer:
    """One format.

    Args:
        context: What writers share.

    Attributes:
        name: By which it is asked for.
        needs_image: Whether results must hold the picture.
        draws_polygons: Whether :attr:`Context.simplify` makes a difference.
        measures: Whether :attr:`Context.mm_per_pixel` does.
    """

    name = ''
    needs_image = draws_polygons = measures = False

    def __init__(self, context: Context):
        self.context = context

    def write(self, result: Result) -> Any:
        """Write the files of one picture; called from several threads."""

    def append(self, result: Result, made: Any) -> None:
        """Go on with a file of several pictures; called in their order, by one thread.

        Args:
            result: Of the picture.
            made: What :meth:`write` returned for it.
        """

    def close(self) -> None:
        """Finish what :meth:`append` wrote; called once, also after an error."""

    def finish(self, results: Results) -> None:
        """Write the files of all pictures together."""


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is whole or absent after the process is killed.

    Unlike :func:`~mmdet_lordre.files.atomic_write` it does not wait for the disk, which takes
    longer than the network does.
    """
    unfinished = f'{path}{UNFINISHED}'
    try:
        with open(unfinished, 'wb') as file:
            file.write(data)
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.remove(unfinished)
        raise
