"""mmdet's visualizer with pictures of masks that are quick and can be read."""
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer

from .drawing import draw_results


@VISUALIZERS.register_module()
class MaskVisualizer(DetLocalVisualizer):
    """Draws instances by OpenCV: translucent masks, outlines, small labels.

    Takes masks as bitmaps, run-length encodings or polygons. Arguments and use are those of
    mmdet's ``DetLocalVisualizer``. Pictures shorter than 360 pixels are enlarged, so that the
    labels can be read.
    """

    def add_datasample(self, name: str, image: np.ndarray, data_sample: DetDataSample | None = None,
                       draw_gt: bool = True, **kwargs) -> None:
        """Draw one image; the ground truth beside the prediction when it was loaded."""
        truth = data_sample.get('gt_instances') if data_sample is not None else None
        super().add_datasample(name, image, data_sample,
                               draw_gt=draw_gt and truth is not None and 'labels' in truth,
                               **kwargs)

    def _draw_instances(self, image, instances, classes, palette):
        # the ground truth beside the prediction must be of the same height
        picture = draw_results(image, instances, classes, palette, legend=True)
        self.set_image(picture)
        return picture
