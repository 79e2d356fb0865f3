"""Pascal VOC: SegmentationObject tells the objects apart, SegmentationClass their classes."""
import posixpath
import re

import numpy as np

from ...errors import UserError
from ...text import listed, plural
from .coco_data import Builder, CocoData
from .folder import IMAGES, Folder
from .image_names import ImageNames
from .options import Options
from .reading import read_labels, read_text
from .run_lengths import rles_of_labels

NAME = 'Pascal VOC'
OBJECTS, CLASSES, PHOTOS = 'SegmentationObject', 'SegmentationClass', 'JPEGImages'
#: Of the original data, in the order of their numbers from 1.
VOC_CLASSES = (
    'aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow',
    'diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train',
    'tvmonitor')
_VOID = 255
_VOID_COLOR = 224 + 256 * 224 + 65536 * 192
_LISTS = {'train': ('train.txt',), 'val': ('val.txt', 'valid.txt'), 'test': ('test.txt',)}


def root_of(folder: Folder) -> str | None:
    """Name of the folder that has VOC's folders in it (``VOCdevkit/VOC2012``)."""
    for name in ['', *folder.folders(), *(n for f in folder.folders() for n in folder.folders(f))]:
        inside = {posixpath.basename(sub) for sub in folder.folders(name)}
        if inside & {OBJECTS, CLASSES} or {'Annotations', PHOTOS} <= inside:
            return name
    return None


def recognize(folder: Folder) -> bool:
    """Whether a folder holds VOC's folders."""
    return root_of(folder) is not None


def color_of(number: int) -> int:
    """VOC's color of a number, as ``red + 256 * green + 65536 * blue``."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> channel & 1) << (7 - bit)
        number >>= 3
    return channels[0] + 256 * channels[1] + 65536 * channels[2]


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts that ``ImageSets/Segmentation`` lists, else one of all images.

    Args:
        folder: That holds the data, or ``VOCdevkit``.
        options: ``images`` says where the images are.
        file: Not used.

    Raises:
        UserError: Boxes alone, semantic masks, or files that do not fit each other.
    """
    root = root_of(folder)
    place = folder.join(root)

    def within(name):
        return posixpath.join(root, name)
    if not folder.is_folder(within(OBJECTS)):
        if folder.is_folder(within(CLASSES)):
            raise UserError(
                f'{place} has {CLASSES} without {OBJECTS}: semantic masks, which do not tell '
                'objects of a class from each other; export instances too, or, where objects never '
                'touch, split the masks into connected parts (scipy.ndimage.label)')
        raise UserError(f'{place} has boxes (Annotations) and no {OBJECTS}: these are data for '
                        'detectors; export segmentation masks, or make masks from the boxes with a '
                        'segmentation model first')
    images = Folder(options.images) if options.images else folder
    names, numbers = _classes(folder, within('labelmap.txt'))
    builder = Builder(NAME, place, images.path, names)
    there = {posixpath.splitext(posixpath.basename(name))[0]: name
             for name in folder.files(within(OBJECTS), ('.png', '.bmp', '.tif', '.tiff', '.gif'))}
    listed_stems = [(part, stem) for part, stems in _lists(folder, within, there).items()
                    for stem in stems]
    lost = [stem for _, stem in listed_stems if stem not in there]
    read_stems = [(part, stem) for part, stem in listed_stems if stem in there]
    matched = ImageNames(images, [(stem, within(PHOTOS) if images is folder else '')
                                  for _, stem in read_stems])
    for (part, stem), photo in zip(read_stems, matched.found, strict=True):
        _read_image(folder, photo, root, there[stem], stem, part, builder, numbers)
    for note in matched.notes():
        builder.note(note)
    if lost:
        builder.note(f'{plural(len(lost), "listed image")} without a file in {OBJECTS} left out '
                     f'({listed(lost, 2)})')
    return builder.finish()


def _classes(folder, file):
    """(names, {value of a pixel: name}), from CVAT's list of colors or VOC's own."""
    if not folder.is_file(file):
        numbers = dict(enumerate(VOC_CLASSES, 1))
        return list(VOC_CLASSES), numbers | {color_of(n): name for n, name in numbers.items()}
    names, numbers, index = [], {}, 0
    for line in read_text(folder.join(file)).splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        found = re.match(r'(.*?):\s*(?:(\d+),\s*(\d+),\s*(\d+))?\s*(:|$)', line)
        if not found:
            raise UserError(f'{folder.join(file)}: a line is not name:red,green,blue::')
        name = found[1]
        if name.lower() in ('background', 'void', 'ignored'):
            index += name.lower() == 'background'
            continue
        names.append(name)
        color = int(found[2]) + 256 * int(found[3]) + 65536 * int(found[4]) if found[2] \
            else color_of(index)
        numbers[color] = name
        # images with a palette hold the place in this list, or VOC's number of the color
        numbers.setdefault(index, name)
        index += 1
    return names, numbers


def _lists(folder, within, there):
    """Stems of the images of each part."""
    sets = within('ImageSets/Segmentation')
    files = {posixpath.basename(name): name for name in folder.files(sets, ('.txt',))} \
        if folder.is_folder(sets) else {}
    parts = {part: next((files[name] for name in names if name in files), None)
             for part, names in _LISTS.items()}
    if not parts['train']:
        rest = [name for name in files.values() if name not in parts.values()]
        # trainval.txt without train.txt, or CVAT's default.txt
        parts['train'] = rest[0] if len(rest) == 1 else None
    if not any(parts.values()):
        return {'train': sorted(there)}
    # a line of another tool may be a path, with an ending
    return {part: [posixpath.splitext(posixpath.basename(line.split()[0]))[0]
                   if line.split()[0].lower().endswith(IMAGES)
                   else posixpath.basename(line.split()[0])
                   for line in read_text(folder.join(name)).splitlines() if line.strip()]
            for part, name in parts.items() if name}


def _read_image(folder, photo, root, name, stem, part, builder, numbers):
    path = folder.join(name)
    objects = read_labels(path)
    height, width = objects.shape
    image = builder.image(part, photo or posixpath.join(root, PHOTOS, f'{stem}.jpg'), width, height)
    class_file = posixpath.join(root, CLASSES, posixpath.basename(name))
    if not folder.is_file(class_file):
        raise UserError(f'{path} has no {CLASSES}/{posixpath.basename(name)}, which says the '
                        'classes of its objects')
    classes = read_labels(folder.join(class_file))
    if classes.shape != objects.shape:
        raise UserError(f'{folder.join(class_file)} and {path} are of different sizes')
    void = [_VOID] if objects.max(initial=0) <= 255 else [_VOID_COLOR]
    objects = np.where(np.isin(objects, void), 0, objects)
    known = np.isin(classes, list(numbers))
    for number, encoded in rles_of_labels(objects).items():
        values, counts = np.unique(classes[(objects == number) & known], return_counts=True)
        if not len(values):
            builder.lose('objects whose pixels have no class')
            continue
        builder.add(part, image, numbers[int(values[counts.argmax()])], encoded)
