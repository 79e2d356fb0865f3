"""LabelMe: a JSON file for each picture."""
import base64
import json
import os

import cv2

from ...masks.outlines import outlines_of
from ..result import Result
from .base import Writer, write_whole


class LabelMe(Writer):
    """``labelme/NAME.json``: polygons, and shapes of the type ``mask`` where there are holes.

    Parts of an object share a ``group_id``; it is the identity of one that is tracked.
    """

    name = 'labelme'
    draws_polygons = True

    def write(self, result: Result) -> None:
        path = self.context.path('labelme', f'{result.name}.json')
        shapes, names, numbers = [], result.names, result.numbers
        tracked = result.track_ids is not None
        for i in range(len(result)):
            y, x, bitmap = result.crop(i)
            parts = outlines_of(bitmap, y, x, self.context.simplify)
            common = dict(label=names[i], flags={},
                          group_id=numbers[i] if len(parts) > 1 or tracked else None,
                          description=f'{result.scores[i]:.3f}')
            if any(part.holes for part in parts):
                height, width = bitmap.shape
                data = cv2.imencode('.png', bitmap * 255)[1].tobytes()
                shapes.append(dict(common, group_id=numbers[i] if tracked else None,
                                   shape_type='mask',
                                   points=[[x, y], [x + width - 1, y + height - 1]],
                                   mask=base64.b64encode(data).decode()))
                continue
            shapes += [dict(common, shape_type='polygon', mask=None,
                            points=part.exterior.astype(float).tolist()) for part in parts]
        image = f'{result.name}.png'
        if result.film is not None:
            image = os.path.relpath(self.context.folder / 'frames' / f'{result.name}.jpg',
                                    path.parent)
        if result.path is not None and '://' not in result.path:
            image = os.path.relpath(os.path.abspath(result.path), path.parent.absolute())
        content = dict(version='5.5.0', flags={}, shapes=shapes,
                       imagePath=image.replace(os.sep, '/'), imageData=None,
                       imageHeight=result.size[0], imageWidth=result.size[1])
        write_whole(path, json.dumps(content, indent=1).encode())
