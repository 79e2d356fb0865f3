"""COCO: results for an evaluation, and annotations to correct by hand and train on."""
import json
from collections.abc import Iterator
from typing import TextIO

import numpy as np

from ...files import atomic_write
from ...masks.outlines import outlines_of, ring_area
from ..result import Result, text_rle
from .base import Context, Results, Writer


def numbered(results: Iterator[Result]) -> Iterator[tuple[int | str, Result]]:
    """(image id, result) of the pictures that could be read.

    The id is that of the source, or else the place among the results, from 1 on.
    """
    for number, result in enumerate(results, 1):
        if result.error is None:
            yield number if result.image_id is None else result.image_id, result


def track_entries(result: Result) -> list[dict]:
    """``{'track_id': ...}`` of each object, or ``{}`` where objects are not tracked."""
    if result.track_ids is None:
        return [{}] * len(result)
    return [dict(track_id=number) for number in result.track_ids.tolist()]


def _write_pictures(file: TextIO, context: Context, results: Results) -> None:
    """The beginning of a COCO file, up to its list of images."""
    file.write('{"info": {"description": "predictions"},\n"categories": '
               f'{json.dumps(context.category_list())},\n')
    films = {}
    if context.frames is not None:
        films = {film.name: number for number, film in enumerate(context.frames.films, 1)}
        file.write('"videos": ' + json.dumps(
            [dict(id=number, name=name) for name, number in films.items()]) + ',\n')
    file.write('"images": [')
    separator = '\n'
    for image_id, result in numbered(results()):
        file.write(separator + json.dumps(dict(
            id=image_id, file_name=result.file or result.name, width=result.size[1],
            height=result.size[0], **(dict(
                video_id=films[result.film], frame_id=result.frame - 1,
                time_s=round(result.time, 6)) if result.film in films else {}))))
        separator = ',\n'
    file.write(']')


class CocoResults(Writer):
    """``results.json``: what evaluation servers and :class:`CocoMaskMetric` read.

    Which pictures and classes its ids stand for says ``images.json``, a COCO file without
    annotations, unless the source is a COCO file that has all classes, which says it.
    """

    name = 'coco'

    def finish(self, results: Results) -> None:
        path = self.context.path('results.json')
        with atomic_write(path) as name, open(name, 'w', encoding='utf-8') as file:
            file.write('[')
            separator = '\n'
            for image_id, result in numbered(results()):
                for rle, label, score, box, track in zip(
                        result.masks, result.labels.tolist(), result.scores.tolist(),
                        result.boxes.tolist(), track_entries(result)):
                    entry = dict(image_id=image_id, category_id=self.context.category_id(label),
                                 bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                                 score=score, segmentation=text_rle(rle), **track)
                    file.write(separator + json.dumps(entry))
                    separator = ',\n'
            file.write('\n]\n')
        if self.context.categories is None or self.context.lacking():
            path = self.context.path('images.json')
            with atomic_write(path) as name, open(name, 'w', encoding='utf-8') as file:
                _write_pictures(file, self.context, results)
                file.write(',\n"annotations": []}\n')


class CocoAnnotations(Writer):
    """``annotations.json``: polygons, and run lengths where a mask has holes.

    Polygons follow the edges of the pixels, so that they draw the same mask again. The score of
    each object stays beside it. Frames have ``video_id``, ``frame_id`` (from 0 on) and
    ``time_s``, objects that are tracked a ``track_id``.
    """

    name = 'coco-annotations'
    draws_polygons = True

    def finish(self, results: Results) -> None:
        path = self.context.path('annotations.json')
        with atomic_write(path) as name, open(name, 'w', encoding='utf-8') as file:
            _write_pictures(file, self.context, results)
            file.write(',\n"annotations": [')
            separator = '\n'
            for number, entry in enumerate(self._entries(results), 1):
                file.write(separator + json.dumps(dict(id=number, **entry)))
                separator = ',\n'
            file.write(']}\n')

    def _entries(self, results: Results) -> Iterator[dict]:
        for image_id, result in numbered(results()):
            tracks = track_entries(result)
            for i, rle in enumerate(result.masks):
                y, x, bitmap = result.crop(i)
                parts = outlines_of(bitmap, y, x, self.context.simplify)
                if any(part.holes for part in parts):
                    segmentation, area = text_rle(rle), int(np.count_nonzero(bitmap))
                else:
                    segmentation = [part.exterior.ravel().tolist() for part in parts]
                    area = abs(sum(ring_area(part.exterior) for part in parts))
                box = result.boxes[i].tolist()
                yield dict(
                    image_id=image_id, category_id=self.context.category_id(int(result.labels[i])),
                    iscrowd=0, bbox=[box[0], box[1], box[2] - box[0], box[3] - box[1]],
                    area=area, segmentation=segmentation, score=float(result.scores[i]),
                    **tracks[i])
