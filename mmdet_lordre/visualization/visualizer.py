"""mmdet's visualiser with pictures of masks that are quick and can be read."""
from mmdet.registry import VISUALIZERS
from mmdet.visualization import DetLocalVisualizer

from .drawing import draw_results


@VISUALIZERS.register_module()
class MaskVisualizer(DetLocalVisualizer):
    """Draws instances by OpenCV: translucent masks, outlines, small labels.

    Takes masks as bitmaps, run-length encodings or polygons. Arguments and use are those of
    mmdet's ``DetLocalVisualizer``. Pictures shorter than 360 pixels are enlarged, so that the
    labels can be read.
    """

    def _draw_instances(self, image, instances, classes, palette):
        picture = draw_results(image, instances, classes, palette)
        self.set_image(picture)
        return picture
