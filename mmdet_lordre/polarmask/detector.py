"""PolarMask under its own name."""
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS


@MODELS.register_module()
class PolarMask(SingleStageDetector):
    """`PolarMask <https://arxiv.org/abs/1909.13226>`_: mmdet's ``SingleStageDetector``.

    :class:`PolarMaskHead` as ``bbox_head`` of a plain ``SingleStageDetector`` is the same.
    """
