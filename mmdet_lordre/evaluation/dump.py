"""Predictions to a file, for evaluation later."""
from collections.abc import Sequence

from mmdet.evaluation import DumpDetResults
from mmdet.registry import METRICS
from mmengine.evaluator.metric import _to_cpu

from .coco_mask_metric import to_rles


@METRICS.register_module()
class DumpMaskResults(DumpDetResults):
    """mmdet's ``DumpDetResults``, for masks as bitmaps or as run-length encodings.

    The pickle file holds a list of dictionaries, one for each image, with plain tensors and
    run-length encoded masks (``counts`` as str).
    """

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in _to_cpu(data_samples):
            for key in ('gt_instances', 'ignored_instances', 'gt_panoptic_seg'):
                sample.pop(key, None)
            if 'masks' in sample.get('pred_instances', {}):
                sample['pred_instances']['masks'] = to_rles(sample['pred_instances']['masks'])
            self.results.append(sample)
