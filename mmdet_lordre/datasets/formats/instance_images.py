"""Images of numbers: pixels of one object have one value (8 or 16 bits, or a color)."""
import csv
import io
import posixpath
import re
from collections import Counter

import cv2
import numpy as np

from ...errors import UserError
from ...masks import mask_areas
from ...masks.runs import crop_of_rle
from ...text import listed, plural, printable
from ..image_rules import image_size
from ..pages import pages_of
from .coco_data import Builder, CocoData
from .folder import IMAGE_FOLDERS, IMAGES, Folder
from .mask_doubts import VOID, Doubts
from .options import Options, part_of_folders
from .reading import read_pages, read_text
from .run_lengths import rles_of_labels

NAME = 'instance masks (an image of numbers each)'
#: Folders of masks, as people call them.
MASK_FOLDERS = ('masks', 'mask', 'labels', 'label', 'instances', 'instance', 'annotations', 'gt',
                'ground_truth', 'groundtruth', 'segmentation', 'segmentations', 'instance_masks',
                'instance_ids', 'instanceids')
#: Says the classes of objects, where predictions were saved as masks.
_LIST = 'instances.csv'
_IMAGE_FOLDERS = tuple(map(str.lower, IMAGE_FOLDERS))
_SUFFIX = re.compile(r'[_.-]?(instance_?ids?|instances?|inst|cp_masks?|masks?|labels?|seg|gt|ids?)'
                     r'$', re.IGNORECASE)
#: Masks that are looked at, pixels of a part that counts, and share of objects in several parts
#: above which a mask is semantic.
_LOOKS, _PART, _SHARE = 50, 10, 0.5
#: More values of fewer pixels than these are blended colors.
_VALUES, _PIXELS = 1000, 4
#: Objects of fewer pixels, and their share, from which on it is said that they may be blended.
_SPECKS, _MOST_SPECKS = 10, 0.5


def recognize(folder: Folder, images: Folder | None = None) -> bool:
    """Whether any image has a mask of its name.

    Args:
        folder: Of the masks.
        images: Of the images, if not the same.
    """
    return bool(pairs(folder, images or folder)[0])


def read(folder: Folder, options: Options, file: str | None = None) -> dict[str, CocoData]:
    """The parts, by folders called so. Masks in folders of other names are of these classes.

    Args:
        folder: Of images and masks.
        options: ``images`` says where the images are, ``class_name`` what the objects are.
        file: Not used.

    Raises:
        UserError: Masks that hold classes, or blended colors, or are of another size.
    """
    images = Folder(options.images) if options.images else folder
    found, alone, outside, orphans, twins, flows = pairs(folder, images)
    if not found:
        raise UserError(f'{folder.path}: no mask has the name of an image')
    builder = Builder(NAME, folder.path, images.path)
    for names in twins:
        sizes = {image_size(images.join(name)) for name in names}
        if len(sizes) > 1:
            raise UserError(f'{images.path}: {listed(names, 3)} are two images of one name, in '
                            'different sizes: rename or remove one, so that their mask has one '
                            'image')
    if flows:
        builder.note(f'{plural(len(flows), "image")} that Cellpose writes beside others left out '
                     f'({printable(flows[0], 60)})')
    if twins:
        builder.note(f'{printable(twins[0][1], 60)} left out, as {printable(twins[0][0], 60)} has '
                     f'its name with another ending or folder '
                     f'({plural(sum(map(len, twins)) - len(twins), "such image")})')
    stems = Counter(posixpath.splitext(mask)[0] for _, mask, _ in found)
    if alike := [stem for stem, count in stems.items() if count > 1]:
        builder.note(f'several masks are called {printable(alike[0], 60)}, with other endings: all '
                     f'are read ({plural(len(alike), "such name")})')
    entries, single, split, objects, paged = {}, True, 0, 0, []
    doubts, waiting, classes = Doubts(), [], _listed_classes(folder)
    areas = []
    if classes:
        builder.note(f'classes are those of {_LIST}')
    for number, (name, mask, label) in enumerate(found):
        path = folder.join(mask)
        part = part_of_folders(name) or part_of_folders(mask) or 'train'
        if name not in entries:
            entries[name] = builder.image(part, name)
        image = entries[name]
        # pages of a stack belong to those of its image, of which the first is read
        stack = (pages := pages_of(path)) > 1 and pages == pages_of(images.join(name))
        encoded = []
        for page, (labels, palette) in enumerate(read_pages(path, 1 if stack else None), 1):
            where = path if page == 1 else f'{path}, page {page}'
            _refuse_blended(labels, where)
            same_size(labels, image, where)
            values = rles_of_labels(labels)
            void = doubts.look(labels, mask, palette)
            single &= void is not None
            rle = values.pop(VOID) if void is not False else None
            if void is None:
                waiting.append((part, image, label or options.class_name, rle))
            encoded += [(classes.get((posixpath.splitext(mask)[0], value), label)
                         or options.class_name, rle) for value, rle in values.items()]
        if stack:
            builder.note(f'masks and images of several pages: the first page of each is read '
                         f'({printable(mask, 60)})')
        elif pages > 1:
            paged.append(f'{mask}: {pages}')
        single &= len(encoded) <= 1
        areas.append(mask_areas([rle for _, rle in encoded]))
        if number < _LOOKS:
            objects += len(encoded)
            split += sum(_in_parts(rle) for _, rle in encoded)
        for name_of_class, rle in encoded:
            builder.add(part, image, name_of_class, rle)
    if not doubts.open_are_void():
        for entry in waiting:
            builder.add(*entry)
    for text in doubts.notes():
        builder.note(text)
    if paged:
        builder.note(f'every page of a mask read as objects of its own '
                     f'({plural(len(paged), "file")}, such as {printable(paged[0], 60)} pages)')
    if split > _SHARE * objects and not options.trusted and not classes:
        raise UserError(
            f'{folder.path}: most values of its masks are several separate areas: these look '
            'like semantic masks, which do not tell objects of a class from each other; split '
            'them into connected parts where objects never touch (scipy.ndimage.label), or, if '
            'each value is one object, lordre convert-data --from instance-png')
    specks, count = [int((some < _PIXELS).sum()) for some in areas], sum(map(len, areas))
    if sum(specks) >= max(_SPECKS, _MOST_SPECKS * count):
        worst = found[int(np.argmax(specks))][1]
        builder.note(f'{sum(specks)} of {plural(count, "object")} have fewer than {_PIXELS} '
                     f'pixels, most in {printable(worst, 60)}: if masks were made smaller or '
                     'larger, their values are blended at borders; take the nearest value instead')
    if single:
        builder.note('no mask has more than one value: what it shows is one object')
    if outside:
        builder.note(f'{plural(len(outside), "image")} in folders without masks left out '
                     f'({printable(outside[0], 60)})')
    lonely = {}
    for name in alone:
        part = part_of_folders(name) or 'train'
        lonely.setdefault(part, []).append(name)
        builder.image(part, name)
    for part, names in lonely.items():
        builder.note(f'{plural(len(names), "image")} without a mask taken as images without '
                     f'objects ({printable(names[0], 60)})', part)
    if orphans:
        builder.note(f'{plural(len(orphans), "mask")} without an image left out '
                     f'({listed(orphans, 1)})')
    return builder.finish()


def _listed_classes(folder):
    """{(mask without its ending, value): class} as `lordre predict --save png` lists them."""
    if not folder.is_file(_LIST):
        return {}
    rows = csv.DictReader(io.StringIO(read_text(folder.join(_LIST))))
    if not {'picture', 'id', 'class'} <= set(rows.fieldnames or ()):
        return {}
    return {(row['picture'], int(row['id'])): row['class'] for row in rows
            if (row['id'] or '').isdecimal()}


def pairs(folder: Folder, images: Folder) -> tuple[list, list, list, list, list, list]:
    """Masks and their images.

    Args:
        folder: Of the masks.
        images: Of the images, perhaps the same.

    Returns:
        ``[(image, mask, class or None)]``, images without a mask, those in folders of images
        without masks beside others that have them (to be predicted, say), masks without an
        image, lists of images of one name, of which the first is used, and what Cellpose writes
        beside an image.
    """
    photos, masks, kinds, paired, lone = {}, [], {}, set(), set()
    for name in images.walk('', IMAGES):
        is_mask, place = _side(name, folder, kinds) if images is folder else (False, None)
        if not is_mask:
            photos.setdefault(_key(name, IMAGE_FOLDERS, place), []).append(name)
            if place is not None:
                paired.add(name)
            elif images is folder and any(_kind(word) is False for word in name.split('/')[:-1]):
                lone.add(name)
    flows = []
    for key in list(photos):
        plain = key.removesuffix('_flows')
        if plain != key and (plain in photos or f'{plain}_img' in photos):
            flows += photos.pop(key)
    for name in folder.walk('', IMAGES):
        is_mask, place = _side(name, folder, kinds) if images is folder else (True, None)
        if is_mask:
            masks.append((name, _key(name, MASK_FOLDERS, place)))
    found, orphans, used = [], [], set()
    for mask, key in masks:
        match = next(((photos[k][0], label) for k, label in _candidates(key) if k in photos), None)
        if match is None:
            orphans.append(mask)
        else:
            found.append((match[0], mask, match[1]))
            used.add(match[0])
    alone = [names[0] for names in photos.values() if names[0] not in used]
    if paired.isdisjoint(used) or not lone.isdisjoint(used):
        lone = set()
    return (found, [name for name in alone if name not in lone],
            [name for name in alone if name in lone], orphans,
            [names for names in photos.values() if len(names) > 1], flows)


def _side(name, folder, known):
    """Whether a file is a mask, and which of the folders in its name says so, by its number.

    The outermost folder that has one of the other kind beside it decides (``images/gt/a.jpg``
    beside ``masks/``). Where none has, any folder of masks, then the name of the file. ``known``
    keeps what lies in folders.
    """
    *folders, base = name.split('/')
    for i, word in enumerate(folders):
        kind, near = _kind(word), '/'.join(folders[:i])
        if near not in known:
            known[near] = {_kind(posixpath.basename(other)) for other in folder.folders(near)}
        if kind is not None and (not kind) in known[near]:
            return kind, i
    kinds = [_kind(word) for word in folders]
    if any(kind is not None for kind in kinds):
        return True in kinds, None
    stem = posixpath.splitext(base)[0]
    return bool(re.search(r'[_.-](cp_masks?|masks?|labels?|instance_?ids?|instances?)$', stem,
                          re.IGNORECASE)), None


def _kind(word):
    """Whether a folder is called as those of masks are, or (False) of images; else None."""
    word = word.lower()
    return True if word in MASK_FOLDERS else False if word in _IMAGE_FOLDERS else None


def _key(name, words, place=None):
    """A name without its ending and without the folder that says whether it is a mask.

    Args:
        name: Of the file.
        words: What such folders are called.
        place: Number of the folder, where it is known.
    """
    *folders, base = posixpath.splitext(name)[0].split('/')
    words = {word.lower() for word in words}
    if place is None:
        place = next((i for i, folder in enumerate(folders) if folder.lower() in words), None)
    return '/'.join([f for i, f in enumerate(folders) if i != place] + [base])


def _candidates(key):
    """(name of an image, class) that a mask may have: folders below may be classes."""
    *folders, base = key.split('/')
    plain = _SUFFIX.sub('', base)
    # Cellpose: x_img.tif beside x_masks.tif
    for stem in dict.fromkeys((base, plain, plain and f'{plain}_img')):
        if stem:
            yield '/'.join([*folders, stem]), None
            for end in range(len(folders) - 1, -1, -1):
                yield '/'.join([*folders[:end], stem]), '/'.join(folders[end:])


def same_size(labels: np.ndarray, image: dict, path: str) -> None:
    """Refuse a mask of another size than its image.

    Args:
        labels: (H, W).
        image: Entry of ``images``.
        path: Of the mask.

    Raises:
        UserError: Naming both sizes.
    """
    if image['width'] is not None and labels.shape != (image['height'], image['width']):
        raise UserError(f'{path} is {labels.shape[1]}x{labels.shape[0]}, its image '
                        f'{printable(image["file_name"], 80)} {image["width"]}x{image["height"]} '
                        '(width x height): store them in one size')


def _in_parts(encoded):
    """Whether a mask is several separate areas."""
    mask = crop_of_rle(encoded).bitmap
    if not mask.size:  # OpenCV does not survive it
        return False
    areas = cv2.connectedComponentsWithStats(mask, connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    return int((areas > _PART).sum()) > 1


def _refuse_blended(labels, path):
    values, counts = np.unique(labels, return_counts=True)
    if len(values) > _VALUES and np.median(counts) < _PIXELS:
        raise UserError(f'{path} has {len(values)} values of a few pixels each: its colors are '
                        'blended, or it is a photo; store one exact value for each object')
