"""Annotations as a test evaluates them: opened in any format, put right, and what is left out."""
import os
from collections.abc import Callable, Iterator, Sequence

from ..config.own_data import choose_part
from ..datasets.annotation_rules import STOP, annotation_problems
from ..datasets.coco_file import find_images
from ..datasets.file_names import leads_out
from ..datasets.formats import CocoData, open_data
from ..datasets.repairs import Repairs
from ..datasets.units import refuse_other_units
from ..errors import UserError

#: Why annotations are left out, by the kind of their problem, in words.
_REASONS = {'unknown image': 'of an unknown image', 'unknown category': 'of an unknown category',
            'no mask': 'without a mask', 'duplicate id': 'with the id of another one',
            'bad box': 'with a damaged box', 'bad area': 'with a damaged area',
            'not finite': 'with numbers that are not finite',
            'bad polygon': 'with a damaged mask', 'bad run lengths': 'with a damaged mask'}
#: Annotations that tell in which unit their polygons are.
_SAMPLE = 2000


def open_part(ann: str, images: str | None, wanted: Sequence[str],
              say: Callable[[str], object]) -> CocoData:
    """Annotations of any format, the part that is asked for.

    Args:
        ann: A file or a folder.
        images: Folder of the images, if that was said.
        wanted: Names of parts, the first one that there is is taken.
        say: Takes a line of text.

    Raises:
        UserError: They cannot be read, or have other parts.
    """
    part = choose_part(open_data(ann, images, need_images=False), wanted, ann, say)
    if part.line():
        say(part.line())
    return part


def folder_of(part: CocoData, said: str | None, wanted: bool) -> str | None:
    """Where the images are; None where they are not found and were not asked for.

    Args:
        part: As it was opened.
        said: Folder of the images; None to look near the annotations.
        wanted: Whether the user has said so.

    Raises:
        UserError: They are not where the user says.
    """
    if part.folder:
        return part.folder
    try:
        return find_images(part.data, part.ann_file or part.source, said)
    except UserError:
        if wanted:
            raise
        return None


def mended(data: dict, path: str, folder: str | None) -> tuple[dict, list[str]]:
    """A copy that is put right, and what that was; the same data where nothing was.

    Args:
        data: COCO annotations, not changed.
        path: Their file, for messages.
        folder: Of the images, where it is known.

    Raises:
        UserError: Something that a test would misread.
    """
    repairs = Repairs(data, path)
    images = repairs.data['images']
    for image in images:  # masks are compared without their images, too
        name = image.get('file_name')
        if not (isinstance(name, str) and name) and not (
                name is None and isinstance(image.get('coco_url'), str)):
            image['file_name'] = str(name or image.get('id'))
    if folder is not None and all(image.get('width') is not None
                                  and image.get('height') is not None for image in images) and any(
            leads_out(folder, name) and os.path.exists(os.path.join(folder, name))
            for name in (image.get('file_name') or '' for image in images)):
        folder = None  # outlines are drawn of an image that lies elsewhere
    repairs.make(folder)
    data = repairs.data if repairs.notes else data
    # boxes are not looked at here
    refuse_other_units(dict(data, annotations=[
        dict(annotation, bbox=None) for annotation in data['annotations'][:_SAMPLE]]), path)
    return data, repairs.notes


def unusable(data: dict, others: set) -> Iterator[str | None]:
    """Why each annotation is left out, in words; None for those that count.

    Args:
        data: Mended annotations.
        others: Ids of categories that the model does not know.
    """
    problems = {p.index: p.kind for p in annotation_problems(data, need_masks=True)
                if p.treatment == STOP}
    for index, annotation in enumerate(data['annotations']):
        kind = problems.get(index)
        if annotation.get('category_id') in others and kind != 'unknown image':
            yield 'of classes that the model does not know'
        else:
            yield kind and _REASONS.get(kind, kind)


def ids_as_given(given: dict, data: dict, place: dict, label: dict) -> tuple[dict, dict] | None:
    """Places and labels by the ids that a file has, None where these are the mended ones.

    Results of ``lordre predict`` and of other programs have them, those of a test the mended ones.

    Args:
        given: Annotations as they were read.
        data: The same, mended: entries are in the same order.
        place: Place of each mended image id.
        label: Label of each mended category id.
    """
    if given is data:
        return None
    found = {}, {}
    for old, name, numbers in zip(found, ('images', 'categories'), (place, label), strict=True):
        before = [entry.get('id') for entry in given[name]]
        for key, entry in zip(before, data[name], strict=True):
            if key is not None and entry['id'] in numbers:
                old.setdefault(key, numbers[entry['id']])
    return None if found == (place, label) else found
