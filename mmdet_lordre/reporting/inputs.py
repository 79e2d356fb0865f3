"""Annotations and results, checked and made into a table."""
import gc
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pycocotools import mask as mask_api

from ..datasets.annotation_rules import encode_segmentation, mask_problem, size_problem
from ..datasets.coco_file import class_names, read_annotations
from ..errors import UserError
from ..files import ANNOTATIONS, refuse_large
from ..text import plural, printable, quoted
from .run_lengths import run_totals
from .table import Detections, Picture, Table, Truth, overlaps_of, sorted_detections

#: What annotation files say in ``iscrowd`` for yes.
_YES = (1, True, '1', 'true', 'True')


@dataclass
class Annotated:
    """An annotation file.

    Attributes:
        path: Where it lies.
        data: As it was read.
        pictures: Sorted by id.
        classes: Names in the order of the file.
        place: Place of each image id in ``pictures``.
        label: Label of each category id.
        truth: The objects.
        left_out: How many annotations cannot be used, by reason.
    """
    path: str
    data: dict
    pictures: list[Picture]
    classes: tuple[str, ...]
    place: dict
    label: dict
    truth: Truth
    left_out: dict[str, int] = field(default_factory=dict)


def read_truth(path: str | Path, known: Sequence[str] | None = None) -> Annotated:
    """Read an annotation file for a report.

    What cannot be drawn (no mask, an unknown image or category) is left out and counted.

    Args:
        path: The file.
        known: Names of the classes that count, as evaluation takes those that a model knows; by
            default all.

    Raises:
        UserError: The file cannot be read, or has no object.
    """
    return annotated_of(read_annotations(path), str(path), known)


def annotated_of(data: dict, path: str, known: Sequence[str] | None = None) -> Annotated:
    """The same of annotations that were read.

    Args:
        data: COCO annotations.
        path: Their file, for messages.
        known: As of :func:`read_truth`.

    Raises:
        UserError: There are only images.
    """
    if 'annotations' not in data:
        raise UserError(f'{path} has no annotations: a report compares results with them')
    classes = class_names(data, path)
    ids = [category['id'] for category in data['categories']]
    others = set()
    if known is not None:
        others = {i for i, name in zip(ids, classes) if name not in set(known)}
        ids, classes = [i for i in ids if i not in others], tuple(
            name for name in classes if name in set(known))
    label = {category: k for k, category in enumerate(ids)}
    images = _images(data, path)
    place = {image['id']: i for i, image in enumerate(images)}
    left_out, rows = {}, []
    for annotation in data['annotations']:
        reason = _cannot(annotation, place, label, others, images)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        image = place[annotation['image_id']]
        mask = encode_segmentation(annotation['segmentation'], images[image])
        area = annotation.get('area')
        if type(area) not in (int, float) or not math.isfinite(area):
            area = float(mask_api.area(mask))
        rows.append((image, label[annotation['category_id']], float(area),
                     annotation.get('iscrowd') in _YES or annotation.get('ignore') in _YES, mask))
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
    return Annotated(path, data, pictures, classes, place, label, truth, left_out)


def _images(data, path):
    """The images by id, each once and with a size."""
    images = {}
    for image in data['images']:
        problem = size_problem(image)
        if problem or image.get('id') is None:
            raise UserError(f'{path}: image {printable(image.get("file_name"), 80)} '
                            f'{problem[1] if problem else "has no id"}')
        images.setdefault(image['id'], image)
    try:
        return [images[key] for key in sorted(images)]
    except TypeError:  # numbers and texts
        return [images[key] for key in sorted(images, key=str)]


def _cannot(annotation, place, label, others, images):
    """Why an annotation is left out, or None."""
    if annotation.get('image_id') not in place:
        return 'of an unknown image'
    if annotation.get('category_id') in others:
        return 'of classes that the model does not know'
    if annotation.get('category_id') not in label:
        return 'of an unknown category'
    if not annotation.get('segmentation'):
        return 'without a mask'
    image = images[place[annotation['image_id']]]
    return 'with a damaged mask' if mask_problem(annotation['segmentation'], image) else None


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


def make_table(annotated: Annotated, results: list[dict], path: str) -> Table:
    """Put results beside the annotations.

    Args:
        annotated: What is there.
        results: What was found; emptied, since it is large.
        path: Of the results, for messages.

    Raises:
        UserError: A result of an unknown image or category, without a mask of its image's size or
            without a score: the first one is named, and how many there are.
    """
    detections = _detections(annotated, results, path)
    overlaps = overlaps_of(annotated.truth, detections, len(annotated.pictures))
    return Table(annotated.pictures, annotated.classes, annotated.truth, detections, overlaps)


def _detections(annotated: Annotated, results: list[dict], path: str) -> Detections:
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
    return sorted_detections(image, label, score, masks)


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
