"""YOLO segmentation: a text file of polygons for each picture."""
import json

from ...masks.outlines import one_ring
from ..result import Result
from .base import Results, Writer, write_whole


class YOLO(Writer):
    """``yolo/labels/NAME.txt`` and ``yolo/data.yaml``; put the pictures into ``yolo/images/``.

    A line is a class and the corners of one polygon, in shares of width and height. Parts and
    holes are joined to it by cuts of no width, which the format's own tools do, too. A picture
    without objects has an empty file. An identity stands at the end of the line, where
    Ultralytics writes it.
    """

    name = 'yolo'

    def write(self, result: Result) -> None:
        height, width = result.size
        lines = []
        ends = [''] * len(result) if result.track_ids is None else [
            f' {number}' for number in result.track_ids.tolist()]
        for i, label in enumerate(result.labels.tolist()):
            ring = one_ring(result.outlines(i, self.context.simplify)) / (width, height)
            if len(ring) > 2:
                lines.append(f'{label} ' + ' '.join(f'{v:.9g}' for v in ring.ravel())
                             + ends[i])
        write_whole(self.context.path('yolo', 'labels', f'{result.name}.txt'),
                    ''.join(f'{line}\n' for line in lines).encode())

    def finish(self, results: Results) -> None:
        names = ''.join(f'  {label}: {json.dumps(name, ensure_ascii=False)}\n'
                        for label, name in enumerate(self.context.classes))
        text = f'# the pictures belong into images/, beside labels/\ntrain: images\n' \
               f'val: images\nnames:\n{names}'
        write_whole(self.context.path('yolo', 'data.yaml'), text.encode())
