"""Mask AP by the federated protocol of LVIS, on the categories that a model knows."""
import contextlib
import copy
import importlib.util
import io
import json
import os
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from ..text import agree, plural
from .coco_backend import coco_of, detections_of, mean_of_valid
from .coco_mask_metric import array_of, to_rles
from .lvis_cocofied_subset import COCO_CATEGORIES

_AREAS = ('all', 'small', 'medium', 'large')
_GROUPS = ('r', 'c', 'f')


@METRICS.register_module()
class LVISMaskMetric(BaseMetric):
    """LVIS evaluation of masks, for example of a COCO model on "LVIS-cocofied".

    LVIS is federated: not every category is annotated in every image. From Gupta et al., "LVIS: A
    Dataset for Large Vocabulary Instance Segmentation":

    - a detection counts only in images whose positive (annotated) or negative list has its
      category; others are dropped;
    - where a category is not exhaustively annotated, a detection that matches nothing is ignored;
    - an image's best ``max_dets`` detections count, over all categories;
    - AP is also reported over rare, common and frequent categories.

    Images that the file does not have are left out, so the metric can stand beside a COCO metric
    on the same images. If the file is missing, it says how to get it and reports nothing.

    Matching and accumulation are those of faster-coco-eval. Two rules are applied here before
    it: it limits detections by category, not by image, and (1.8.0) it fails on a detection that
    it should drop in an image without objects.

    Args:
        lvis_file: An LVIS annotation file, or the one that ``tools/prepare_cocofied_lvis.py``
            makes.
        max_dets: Detections an image.
        collect_device: Where results of several processes meet, ``'cpu'`` or ``'gpu'``.
        prefix: Of the figures' names.

    Raises:
        ValueError: If the file is no LVIS file, or its categories are not those of the model.
    """

    default_prefix = 'lvis'

    def __init__(self, lvis_file: str, max_dets: int = 300, collect_device: str = 'cpu',
                 prefix: str | None = None):
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.lvis_file = str(lvis_file)
        self.max_dets = max_dets
        self.missing = self._what_is_missing()
        if self.missing:
            MMLogger.get_current_instance().warning(self.missing)
            return
        with open(self.lvis_file) as stream:
            self._data = json.load(stream)
        for key, group in (('frequency', 'categories'), ('neg_category_ids', 'images')):
            if not all(key in entry for entry in self._data[group]):
                raise ValueError(f'{self.lvis_file}: not every entry of {group!r} has {key!r}; '
                                 'this is no LVIS file')
        self._image_ids = {image['id'] for image in self._data['images']}

    def _what_is_missing(self):
        if not os.path.isfile(self.lvis_file):
            return (f'No LVIS evaluation: {self.lvis_file} does not exist. Download '
                    'lvis_v0.5_val.json from lvisdataset.org, then: python '
                    f'tools/prepare_cocofied_lvis.py lvis_v0.5_val.json {self.lvis_file}')
        if importlib.util.find_spec('faster_coco_eval') is None:
            return 'No LVIS evaluation: it needs faster-coco-eval; pip install faster-coco-eval'
        return None

    def process(self, data_batch: dict | None, data_samples: Sequence[dict]) -> None:
        """Keep the detections of images that the file has.

        Args:
            data_batch: Not used.
            data_samples: With ``img_id`` and ``pred_instances`` (scores, labels, masks).
        """
        if self.missing:
            return
        for sample in data_samples:
            if sample['img_id'] in self._image_ids:
                pred = sample['pred_instances']
                self.results.append(dict(
                    image_id=sample['img_id'], scores=array_of(pred['scores']),
                    labels=array_of(pred['labels']), masks=to_rles(pred['masks'])))

    def evaluate(self, size: int) -> dict:
        """Evaluate what all processes have gathered; nothing if there is nothing to compare."""
        if self.missing:
            MMLogger.get_current_instance().warning(self.missing)
            return {}
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Figures of all images.

        Returns:
            AP, AP50, AP75, APs, APm, APl (by area), APr, APc, APf (by frequency), and the
            recalls AR, ARs, ARm, ARl; -1 where there is no ground truth.
        """
        logger = MMLogger.get_current_instance()
        seen = {result['image_id'] for result in results}
        if not seen:
            logger.warning(f'No LVIS evaluation: {self.lvis_file} has none of these images.')
            return {}
        if len(seen) < len(self._image_ids):
            lacking = len(self._image_ids) - len(seen)
            logger.warning(f'{lacking} of {plural(len(self._image_ids), "image")} of '
                           f'{self.lvis_file} {agree(lacking, "was", "were")} not tested: their '
                           'objects count as missed')
        figures = self._figures(self._evaluator(self._entries(results)))
        logger.info(_report(figures, self.max_dets))
        return figures

    def _category_ids(self):
        """Category id of each label, None for one that the file does not have."""
        ids = {category['name']: category['id'] for category in self._data['categories']}
        classes = tuple(self.dataset_meta['classes'])
        coco_ids = {name: coco_id for coco_id, name in COCO_CATEGORIES}
        if set(classes) <= set(coco_ids) and not set(classes) <= set(ids):
            present = set(ids.values())
            if not present <= set(coco_ids.values()):
                raise ValueError(f'{self.lvis_file} has categories of LVIS, the model those of '
                                 'COCO: use the file that tools/prepare_cocofied_lvis.py makes '
                                 'of it')
            # cocofied files that others made keep LVIS's names: go by the id
            return [coco_ids[name] if coco_ids[name] in present else None for name in classes]
        if not set(classes) & set(ids):
            raise ValueError(f'{self.lvis_file}: none of its categories is a class of the model')
        return [ids.get(name) for name in classes]

    def _entries(self, results):
        """Detections in COCO's results format: of each image's best those that can be judged."""
        category_ids = self._category_ids()
        judged = {(image['id'], category) for image in self._data['images']
                  for category in image['neg_category_ids']}
        judged.update((annotation['image_id'], annotation['category_id'])
                      for annotation in self._data['annotations'])
        entries = []
        for result in results:
            best = np.argsort(-result['scores'], kind='stable')[:self.max_dets]
            for i in best:
                category = category_ids[int(result['labels'][i])]
                if (result['image_id'], category) in judged:
                    entries.append(dict(image_id=result['image_id'], category_id=category,
                                        score=float(result['scores'][i]),
                                        segmentation=result['masks'][i]))
        return entries

    def _evaluator(self, entries):
        from faster_coco_eval import COCO, COCOeval_faster
        with contextlib.redirect_stdout(io.StringIO()):
            # the library writes into what it is given
            truth = coco_of(copy.deepcopy(self._data), COCO)
            evaluator = COCOeval_faster(truth, detections_of(truth, entries, COCO), 'segm',
                                        print_function=lambda *_: None, lvis_style=True)
            evaluator.params.maxDets = [self.max_dets]
            evaluator.evaluate()
            evaluator.accumulate()
        return evaluator

    def _figures(self, evaluator):
        precision = evaluator.eval['precision'][..., 0]     # (IoU, recall, category, area)
        recall = evaluator.eval['recall'][..., 0]           # (IoU, category, area)
        thresholds = evaluator.params.iouThrs
        frequency = {category['id']: category['frequency']
                     for category in self._data['categories']}
        groups = np.array([frequency[i] for i in evaluator.params.catIds])

        figures = OrderedDict(AP=mean_of_valid(precision[..., 0]))
        for name, iou in (('AP50', 0.5), ('AP75', 0.75)):
            figures[name] = mean_of_valid(precision[np.isclose(thresholds, iou), :, :, 0])
        for area, name in enumerate(_AREAS[1:], start=1):
            figures[f'AP{name[0]}'] = mean_of_valid(precision[..., area])
        for group in _GROUPS:
            figures[f'AP{group}'] = mean_of_valid(precision[:, :, groups == group, 0])
        figures['AR'] = mean_of_valid(recall[..., 0])
        for area, name in enumerate(_AREAS[1:], start=1):
            figures[f'AR{name[0]}'] = mean_of_valid(recall[..., area])
        return figures


def _report(figures, max_dets):
    def text(name):
        return '-' if figures[name] < 0 else f'{figures[name]:.3f}'
    return (f'LVIS segm  AP {text("AP")}  AP50 {text("AP50")}  AP75 {text("AP75")}  '
            f'small {text("APs")}  medium {text("APm")}  large {text("APl")}  '
            f'rare {text("APr")}  common {text("APc")}  frequent {text("APf")}  '
            f'AR@{max_dets} {text("AR")}')
