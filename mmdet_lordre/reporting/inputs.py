"""Annotations and results, checked and made into a table."""
import gc
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..datasets.annotation_rules import encode_segmentation, mask_problem, size_problem
from ..datasets.coco_file import class_names
from ..errors import UserError
from ..files import ANNOTATIONS, refuse_large
from ..text import plural, printable, quoted
from .mended import ids_as_given, mended, unusable
from .run_lengths import run_totals
from .table import MAX_DETS, Detections, Picture, Table, Truth, overlaps_of, sorted_detections


@dataclass
class Annotated:
    """An annotation file.

    Attributes:
        path: Where it lies.
        pictures: Sorted by id.
        classes: Names in the order of the file.
        place: Place of each image id in ``pictures``.
        label: Label of each category id.
        truth: The objects.
        left_out: How many annotations cannot be used, by reason.
        repairs: What was put right, a sentence each.
        given: ``place`` and ``label`` by the ids as the file has them, where they are others.
    """
    path: str
    pictures: list[Picture]
    classes: tuple[str, ...]
    place: dict
    label: dict
    truth: Truth
    left_out: dict[str, int] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)
    given: tuple[dict, dict] | None = None

    def left_out_line(self) -> str | None:
        """What is left out and why, in one line; None where nothing is."""
        if not self.left_out:
            return None
        said = ', '.join(f'{count} {reason}' for reason, count in self.left_out.items())
        count = sum(self.left_out.values())
        return f'{printable(self.path)}: left out {plural(count, "annotation")}: {said}'


def annotated_of(data: dict, path: str, known: Sequence[str] | None = None,
                 folder: str | None = None) -> Annotated:
    """Annotations for a report, as a test evaluates them.

    What can be put right without guessing is; what cannot be used then (no mask, an unknown image
    or category) is left out and counted.

    Args:
        data: COCO annotations, not changed.
        path: Their file, for messages.
        known: Names of the classes that count, as evaluation takes those that a model knows; by
            default all.
        folder: Of the images, where it is known: sizes that are missing are read there.

    Raises:
        UserError: There are only images, or no object.
    """
    if 'annotations' not in data:
        raise UserError(f'{path} has no annotations: a report compares results with them')
    given = data
    data, repairs = mended(data, path, folder)
    classes = class_names(data, path)
    ids = [category['id'] for category in data['categories']]
    others = set()
    if known is not None:
        others = {i for i, name in zip(ids, classes) if name not in set(known)}
        ids, classes = [i for i in ids if i not in others], tuple(
            name for name in classes if name in set(known))
    label = {category: k for k, category in enumerate(ids)}
    images = _images(data, path, folder)
    if twice := len(data['images']) - len(images):
        repairs = [*repairs, f'images: left out {twice} with the id of another one']
    place = {image['id']: i for i, image in enumerate(images)}
    left_out, rows = {}, []
    for annotation, reason in zip(data['annotations'], unusable(data, others), strict=True):
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        image = place[annotation['image_id']]
        mask = encode_segmentation(annotation['segmentation'], images[image])
        rows.append((image, label[annotation['category_id']], float(annotation['area']),
                     bool(annotation.get('iscrowd')), mask))
    if not rows:
        said = '; '.join(f'{count} {reason}' for reason, count in left_out.items())
        raise UserError(f'{path} has no object to compare results with' + (f': {said}' if said
                                                                          else ''))
    rows.sort(key=lambda row: row[0])
    image, labels, area, crowd, masks = zip(*rows)
    truth = Truth(np.array(image), np.array(labels), np.array(area), np.array(crowd, bool),
                  list(masks))
    pictures = [Picture(image['id'], str(image.get('file_name') or image['id']), image['width'],
                        image['height']) for image in images]
    return Annotated(path, pictures, classes, place, label, truth, left_out, repairs,
                     ids_as_given(given, data, place, label))


def _images(data, path, folder):
    """The images by id, each once and with a size."""
    images = {}
    for image in data['images']:
        if problem := size_problem(image):
            remedy = 'correct it, or take it out and ' if image.get('width') is not None \
                and image.get('height') is not None else ''
            remedy += 'give the folder of the images with --images, to have it read there' \
                if folder is None else f'have its file in {folder}, to have it read there'
            raise UserError(f'{path}: image {printable(image.get("file_name"), 80)} {problem[1]}: '
                            f'{remedy}')
        images.setdefault(image['id'], image)
    return [images[key] for key in sorted(images)]


def read_results(path: str | Path) -> list[dict]:
    """Read results in COCO's format.

    Raises:
        UserError: There is no such file, or it is something else.
    """
    path = str(path)
    if not os.path.isfile(path):
        raise UserError(f'no such file of results: {path}')
    refuse_large(path, ANNOTATIONS)
    collecting = gc.isenabled()
    gc.disable()
    try:
        with open(path, encoding='utf-8-sig') as file:
            results = json.load(file)
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is not JSON: {error}') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error
    finally:
        if collecting:
            gc.enable()
    if not isinstance(results, list):
        said = ('an annotation file' if isinstance(results, dict) and 'images' in results
                else f'a {type(results).__name__}')
        raise UserError(f'{path} is {said}, not a list of results: each is '
                        '{"image_id", "category_id", "segmentation", "score"}')
    return results


def make_table(annotated: Annotated, results: list[dict], path: str,
               say: Callable[[str], object] = lambda line: None,
               max_dets: tuple[int, int, int] = MAX_DETS) -> Table:
    """Put results beside the annotations.

    Args:
        annotated: What is there.
        results: What was found; emptied, since it is large.
        path: Of the results, for messages.
        say: Takes a line of text.
        max_dets: See :class:`~.table.Table`.

    Raises:
        UserError: A result of an unknown image or category, without a mask of its image's size or
            without a score: the first one is named, and how many there are.
    """
    if annotated.given is not None:
        annotated = _with_ids_of(annotated, results, path, say)
    count = len(results)
    detections = _detections(annotated, results, path, max_dets[-1])
    overlaps = overlaps_of(annotated.truth, detections, len(annotated.pictures))
    return Table(annotated.pictures, annotated.classes, annotated.truth, detections, overlaps,
                 max_dets, count - len(detections))


def _with_ids_of(annotated, results, path, say):
    """The same with the ids that results have: as the file gives them, or as a test numbers them.

    Where both may be meant they are those of the file, and it is said.
    """
    place, label = annotated.given
    pairs = [(result.get('image_id'), result.get('category_id')) for result in results
             if isinstance(result, dict)]
    given, numbered = (sum(_known(image, places) and _known(category, labels)
                           for image, category in pairs)
                       for places, labels in ((place, label), (annotated.place, annotated.label)))
    if numbered > given:
        return annotated
    if pairs and numbered == given and any(
            place.get(image) != annotated.place.get(image)
            or label.get(category) != annotated.label.get(category) for image, category in pairs
            if _known(image, place) and _known(category, label)):
        say(f'{printable(path)}: its ids are taken as {printable(annotated.path)} has them, not '
            'as lordre test numbers them')
    return replace(annotated, place=place, label=label)


def _detections(annotated: Annotated, results: list[dict], path: str,
                most: int) -> Detections:
    count = len(results)
    image, label = np.zeros(count, int), np.zeros(count, int)
    score = np.zeros(count)
    masks: list = [None] * count
    compressed = []
    wrong = _Wrong(path, count)
    for i, result in enumerate(results):
        if not isinstance(result, dict):
            wrong.add(i, f'is no dictionary: {quoted(result, 40)}')
            continue
        try:
            image[i] = annotated.place[result.get('image_id')]
            label[i] = annotated.label[result.get('category_id')]
        except (KeyError, TypeError):
            wrong.add(i, _unknown(result, annotated))
            continue
        value, mask = result.get('score'), result.get('segmentation')
        if type(value) not in (int, float) or not math.isfinite(value):
            wrong.add(i, f'has the score {quoted(value, 40)}')
            continue
        score[i] = value
        picture = annotated.pictures[image[i]]
        if isinstance(mask, dict) and isinstance(mask.get('counts'), str) \
                and mask.get('size') == [picture.height, picture.width]:
            masks[i] = mask  # what nearly all are; looked into below, all at once
            compressed.append(i)
            continue
        size = dict(height=picture.height, width=picture.width)
        problem = 'it has no mask' if not mask else mask_problem(mask, size)
        if problem:
            wrong.add(i, f'cannot be drawn: {problem if isinstance(problem, str) else problem[1]}')
        else:
            masks[i] = encode_segmentation(mask, size)
    results.clear()
    totals = run_totals([masks[i]['counts'] for i in compressed])
    sizes = np.array([[p.height * p.width] for p in annotated.pictures])[image[compressed], 0]
    for i in np.array(compressed, int)[totals != sizes].tolist():
        wrong.add(i, 'has a damaged mask: its run lengths do not fill its image')
    wrong.stop()
    return sorted_detections(image, label, score, masks, most)


class _Wrong:
    """Results that cannot be used: the first one is said, and how many there are."""

    def __init__(self, path: str, count: int):
        self.path, self.count = path, count
        self.found: dict[int, str] = {}

    def add(self, index: int, what: str) -> None:
        self.found[index] = what

    def stop(self) -> None:
        """Refuse if there are any."""
        if self.found:
            index = min(self.found)
            raise UserError(f'{self.path}: result {index} {self.found[index]} '
                            f'({len(self.found)} of {plural(self.count, "result")} cannot be used)')


def _unknown(result, annotated):
    if not _known(result.get('image_id'), annotated.place):
        return (f'is of image {quoted(result.get("image_id"), 40)}, which {annotated.path} does '
                'not have')
    return (f'is of category {quoted(result.get("category_id"), 40)}, which {annotated.path} does '
            'not have')


def _known(key: object, places: Iterable) -> bool:
    try:
        return key in places
    except TypeError:
        return False
