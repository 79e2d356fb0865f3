"""YOLO segmentation: a text file of polygons for each picture."""
import json

from ...datasets.formats.yolo_labels import renamed_line, written_name
from ...masks.outlines import one_ring
from ...text import printable
from ..result import Result
from .base import Results, Writer, write_whole


class YOLO(Writer):
    """``yolo/labels/NAME.txt`` and ``yolo/data.yaml``; put the pictures into ``yolo/images/``.

    A line is a class and the corners of one polygon, in shares of width and height. Parts and
    holes are joined to it by cuts of no width, which the format's own tools do, too. A picture
    without objects has an empty file. A folder ``images`` in a name becomes ``images_``: YOLO would
    look for the labels beside it. An identity stands at the end of the line, where
    Ultralytics writes it.
    """

    name = 'yolo'
    draws_polygons = True

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
        write_whole(self.context.path('yolo', 'labels', f'{written_name(result.name)}.txt'),
                    ''.join(f'{line}\n' for line in lines).encode())

    def finish(self, results: Results) -> None:
        names = ''.join(f'  {label}: {json.dumps(name, ensure_ascii=False)}\n'
                        for label, name in enumerate(self.context.classes))
        changed = next((result.name for result in results()
                        if written_name(result.name) != result.name), None)
        more = ''
        if changed is not None:
            more = f'# {renamed_line(printable(changed, 120))}\n'
            print(f'yolo/labels: {more[2:-1]}; call the folders of the pictures so, too')
        text = f'# the pictures belong into images/, beside labels/\n{more}train: images\n' \
               f'val: images\nnames:\n{names}'
        write_whole(self.context.path('yolo', 'data.yaml'), text.encode())
