"""Whatever people have: which format it is, told by looking, and its parts as COCO annotations."""
import os
from pathlib import Path
from types import ModuleType

from ...errors import UserError
from ...text import printable
from ..coco_file import read_json_file
from . import (
    cityscapes,
    coco,
    cvat,
    instance_images,
    labelme,
    mask_files,
    supervisely,
    via,
    voc,
    yolo,
)
from .coco_data import OBJECT, CocoData
from .folder import Folder
from .options import Options
from .other_tools import refuse_folders_of_other_tools
from .reading import xml_root

#: Formats by the name that an option takes, in the order in which a folder is looked at.
FORMATS = {'supervisely': supervisely, 'cityscapes': cityscapes, 'yolo': yolo, 'coco': coco,
           'voc': voc, 'cvat': cvat, 'via': via, 'labelme': labelme, 'mask-files': mask_files,
           'instance-png': instance_images}
#: JSON files that are not COCO's, by what they hold.
_BY_CONTENT = ((labelme.is_labelme, labelme), (via.is_via, via))
_ARCHIVES = ('.zip', '.tar', '.tgz', '.tar.gz', '.rar', '.7z')
_OTHERS = {
    '.csv': 'a table', '.tfrecord': 'TFRecord', '.record': 'TFRecord', '.parquet': 'Parquet',
    '.npz': 'NumPy arrays', '.npy': 'NumPy arrays', '.mat': 'MATLAB data', '.h5': 'HDF5',
    '.ndjson': 'lines of JSON', '.jsonl': 'lines of JSON', '.pkl': 'a pickle'}


def open_data(source: str | Path, images: str | None = None, format: str | None = None,
              class_name: str = OBJECT, need_images: bool = True) -> dict[str, CocoData]:
    """Read annotations in any format that :data:`FORMATS` has.

    Args:
        source: A file or a folder.
        images: Folder of the images, where it is not found.
        format: Key of :data:`FORMATS`; None to look.
        class_name: Of objects in formats without classes.
        need_images: Whether the images of a COCO file are looked for; other formats need them to
            know their sizes.

    Returns:
        Annotations of the parts 'train', 'val' and 'test' that there are, in this order; 'train'
        alone where nothing says which part it is.

    Raises:
        UserError: It is no data set, is of another kind, or cannot be read.
    """
    path = str(source)
    if '://' in path:
        raise UserError(f'{printable(path)}: annotations are not downloaded: give a file or folder')
    if format is not None and format not in FORMATS:
        raise UserError(f'no such format: {format!r}; choose from {", ".join(FORMATS)}')
    if images is not None and not os.path.isdir(images):
        raise UserError(f'{images}: images are not downloaded: give a folder' if '://' in images
                        else f'no such folder of images: {images}')
    options = Options(images, class_name, format is not None, need_images)
    if os.path.isdir(path):
        folder = Folder(path)
        found = format or next((name for name in FORMATS if FORMATS[name].recognize(folder)), None)
        if found is None and yolo.recognize_text(folder):
            found = 'yolo'
        if found is None and images is not None:
            found = next((name for name in ('mask-files', 'instance-png')
                          if FORMATS[name].recognize(folder, Folder(images))), None)
        if found is None:
            refuse_folders_of_other_tools(folder)
            raise UserError(
                f'{path}: no annotations of a known format found; it holds {folder.sample()}. '
                'docs/data.md lists the formats')
        parts = FORMATS[found].read(folder, options)
    else:
        parts = _open_file(path, options, format)
    return {part: parts[part] for part in ('train', 'val', 'test') if part in parts}


def _open_file(path: str, options: Options, format: str | None) -> dict[str, CocoData]:
    lower = path.lower()
    if not os.path.exists(path):
        raise UserError(f'no such annotation file: {path}')
    if not os.path.isfile(path):  # a pipe would be waited for, for ever
        raise UserError(f'{path} is no ordinary file: give a file or folder of annotations')
    if lower.endswith(_ARCHIVES):
        raise UserError(f'{path} is an archive: unpack it, and give the folder')
    for ending, what in _OTHERS.items():
        if lower.endswith(ending):
            raise UserError(f'{path} is {what}, which is not read: export COCO, YOLO or another '
                            'of the formats in docs/data.md')
    reader = _reader_of(path)
    found = next(name for name, module in FORMATS.items() if module is reader)
    if format not in (None, found):
        raise UserError(f'{path} is read as {found}, not as {format}: leave --format out, or give '
                        f'the folder of the {format} data')
    if reader is coco:
        return {'train': coco.read_file(path, options)}
    return reader.read(Folder(os.path.dirname(os.path.abspath(path))), options,
                       os.path.basename(path))


def _reader_of(path: str) -> ModuleType:
    """The module that reads a file."""
    lower = path.lower()
    if lower.endswith(('.yaml', '.yml')):
        return yolo
    if lower.endswith('.xml'):
        root = xml_root(path)
        if root == 'annotation':
            raise UserError(f'{path} holds the boxes of one image (Pascal VOC): masks are in the '
                            'folder SegmentationObject beside; give the folder that holds both')
        return cvat
    if not lower.endswith(coco.ENDINGS) or coco.is_coco(path):
        return coco
    data = read_json_file(path)
    coco.refuse_relatives(data, path)
    return next((reader for test, reader in _BY_CONTENT if test(data)), coco)
