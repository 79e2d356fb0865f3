"""Results as files: a format each."""
from collections.abc import Sequence

from ...errors import UserError
from .base import Context, Writer
from .coco import CocoAnnotations, CocoResults
from .film import FilmWriter, FramePictures
from .geojson import GeoJSON
from .labelme import LabelMe
from .mots import MOTS
from .pictures import CutOuts, Pictures
from .png import InstancePNG, MaskPNG
from .table import CSV, Parquet
from .yolo import YOLO

#: By the name that is given to ``--save``.
WRITERS: dict[str, type[Writer]] = {writer.name: writer for writer in (
    CocoResults, CocoAnnotations, YOLO, LabelMe, GeoJSON, InstancePNG, MaskPNG, CSV, Parquet,
    Pictures, CutOuts, FilmWriter, FramePictures, MOTS)}

__all__ = ['WRITERS', 'Context', 'Writer', 'writers_of']


def writers_of(names: Sequence[str], context: Context) -> list[Writer]:
    """The writers of some names.

    Raises:
        UserError: There is no such format, or what it needs is not installed.
    """
    for name in names:
        if name not in WRITERS:
            raise UserError(f'--save: unknown format {name!r}; choose from {", ".join(WRITERS)}')
    return [WRITERS[name](context) for name in dict.fromkeys(names)]
