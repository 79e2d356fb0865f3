"""The Lordre detector."""
from mmdet.models.detectors.single_stage_instance_seg import SingleStageInstanceSegmentor
from mmdet.registry import MODELS


@MODELS.register_module()
class Lordre(SingleStageInstanceSegmentor):
    """Real-time instance segmentation by instance activation maps, without NMS.

    Published as SparseInst (*Sparse Instance Activation for Real-Time Instance Segmentation*,
    CVPR 2022). A backbone, :class:`LordreEncoder` as the neck and :class:`LordreHead`
    as the mask head; all else is mmdet's single-stage segmentor.
    """
