"""Mask AP as COCO does it, for results with or without boxes."""
import os
import tempfile
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import pycocotools.mask as mask_util
import torch
from mmdet.evaluation.metrics import CocoMetric
from mmdet.registry import METRICS
from mmengine.fileio import dump
from mmengine.logging import MMLogger
from terminaltables import AsciiTable

from ..masks import bounds_of, encode_masks
from ..text import agree, listed, plural, printable
from .box_recall import average_recalls
from .coco_backend import mean_of_valid, pick_backend, run_coco_eval, summarize


@METRICS.register_module()
class CocoMaskMetric(CocoMetric):
    """COCO evaluation of masks (and boxes), from bitmaps or run-length encodings.

    What differs from mmdet's ``CocoMetric``:

    - results without boxes are welcome: the box is the tight one around the mask;
    - labels are matched with the annotation file by category *name*, so the file may list
      its categories in any order, with any ids, and may lack some of them;
    - faster-coco-eval does the counting when it is installed; the figures are the same;
    - no detection at all is AP 0 with a warning, and never an empty dictionary;
    - figures have six digits, and AP is COCO's own: 100 detections an image in all of them.

    The protocol is the one of Lin et al., "Microsoft COCO: Common Objects in Context".

    Args:
        ann_file: COCO annotation file. By default the ground truth that
            comes with the data samples is used.
        metric: 'segm', 'bbox', 'proposal' or 'proposal_fast' (recall of boxes
            over all images at once, without areas), or several of them.
        classwise: Also report every category.
        max_dets: Three numbers of detections an image; the last one
            counts for AP.
        backend: 'auto', 'faster' or 'pycocotools'.
        metric_items: Figures to report, such as 'mAP' or 'AR@100'.
        kwargs: As in mmdet's ``CocoMetric`` (``format_only``, ``outfile_prefix``, ...).
            Without ``ann_file`` the ground truth is written to PREFIX.gt.json, as there.

    Raises:
        KeyError: Unknown metric or metric item.
        FileNotFoundError: ``ann_file`` does not exist.
    """

    METRICS = ('segm', 'bbox', 'proposal', 'proposal_fast')
    #: Kinds of results that ``outfile_prefix`` writes.
    written = ('segm', 'bbox')
    DEFAULT_ITEMS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')

    def __init__(self, ann_file: str | None = None, metric: str | Sequence[str] = 'segm',
                 classwise: bool = False, max_dets: Sequence[int] = (1, 10, 100),
                 backend: str = 'auto', **kwargs):
        metric = [metric] if isinstance(metric, str) else list(metric)
        for name in metric:
            if name not in self.METRICS:
                raise KeyError(f'CocoMaskMetric: unknown metric {name!r}; '
                               f'choose from {", ".join(self.METRICS)}')
        if len(max_dets) != 3 or list(max_dets) != sorted(max_dets):
            raise ValueError(f'max_dets must be three ascending numbers, not {max_dets}')
        if ann_file is not None and '://' not in str(ann_file) and not os.path.isfile(ann_file):
            raise FileNotFoundError(f'CocoMaskMetric: no such annotation file: {ann_file}')
        super().__init__(ann_file=ann_file, metric=metric, classwise=classwise, **kwargs)
        self.max_dets = list(max_dets)
        self.backend = pick_backend(backend)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep what evaluation needs of a batch; masks are kept run-length encoded.

        Args:
            data_batch: Not used.
            data_samples: With ``img_id``, ``ori_shape`` and
                ``pred_instances``: ``scores`` (N,), ``labels`` (N,), ``masks`` as a
                (N, H, W) tensor or array, or a sequence of N COCO RLE dictionaries, and
                optionally ``bboxes`` (N, 4) in xyxy and ``mask_scores`` (N,).
        """
        for sample in data_samples:
            pred = sample['pred_instances']
            result = dict(img_id=sample['img_id'], scores=array_of(pred['scores']),
                          labels=array_of(pred['labels']))
            if 'masks' in pred:
                result['masks'] = to_rles(pred['masks'])
            if 'mask_scores' in pred:
                result['mask_scores'] = array_of(pred['mask_scores'])
            result['bboxes'] = self._boxes(pred, result)
            height, width = sample['ori_shape'][:2]
            truth = dict(width=width, height=height, img_id=sample['img_id'])
            if self._coco_api is None:
                if 'instances' not in sample:
                    raise ValueError('CocoMaskMetric needs ann_file, or data samples that '
                                     'carry their ground truth as `instances`')
                truth['anns'] = sample['instances']
            self.results.append((truth, result))

    @staticmethod
    def _boxes(pred, result):
        if 'bboxes' in pred:
            return array_of(pred['bboxes']).reshape(-1, 4)
        boxes = np.zeros((len(result['labels']), 4))
        if len(boxes):
            boxes = bounds_of(result['masks']).astype(float)
            boxes[:, 2:] += boxes[:, :2]
        return boxes

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate what all processes have gathered.

        Returns:
            OrderedDict[str, float]: 'segm_mAP', 'segm_mAP_50', ...; empty only with
            ``format_only``.
        """
        logger = MMLogger.get_current_instance()
        truths = [truth for truth, _ in results]
        preds = [pred for _, pred in results]
        self._prepare_ground_truth(truths)
        detections = self._detections(preds, logger)
        if self.outfile_prefix is not None:
            self._write(detections, logger)
        figures = OrderedDict()
        if self.format_only:
            return figures
        for metric in self.metrics:
            figures.update(self._recall(preds, logger) if metric == 'proposal_fast'
                           else self._evaluate(metric, detections, logger))
        return figures

    def _prepare_ground_truth(self, truths):
        if self._coco_api is None:
            from mmdet.datasets.api_wrappers import COCO
            with tempfile.TemporaryDirectory() as folder:
                prefix = self.outfile_prefix or os.path.join(folder, 'gt')
                os.makedirs(os.path.dirname(prefix) or '.', exist_ok=True)
                self._coco_api = COCO(self.gt_to_coco_json(truths, prefix))
        if self.cat_ids is None:
            self.cat_ids = self._category_ids()
        if self.img_ids is None:
            self.img_ids = self._coco_api.get_img_ids()

    def _category_ids(self):
        """Category id of every label, None for a class that the file does not have."""
        names = {}
        for category in self._coco_api.dataset.get('categories', []):
            names.setdefault(category['name'], category['id'])
        classes = self.dataset_meta['classes']
        ids = [names.get(name) for name in classes]
        if classes and all(i is None for i in ids):
            raise ValueError(
                'CocoMaskMetric: none of the classes of the model '
                f'({listed(classes, 5)}) is a category of the annotation file ({listed(names, 5)})')
        missing = [name for name, i in zip(classes, ids, strict=True) if i is None]
        if missing:
            MMLogger.get_current_instance().warning(
                f'{len(missing)} of {plural(len(classes), "class")} '
                f'{agree(len(missing), "is", "are")} not in the annotation file, and not '
                f'evaluated: {listed(missing, 5)}')
        return ids

    def _detections(self, preds, logger):
        """Results of all images as {'bbox': [...], 'segm': [...]} in COCO's format."""
        out = dict(bbox=[])
        if not preds or any('masks' in pred for pred in preds):
            out['segm'] = []
        for pred in preds:
            scores = pred['scores']
            mask_scores = pred.get('mask_scores', scores)
            for i, label in enumerate(pred['labels'].tolist()):
                if self.cat_ids[label] is None:
                    continue
                x1, y1, x2, y2 = (float(v) for v in pred['bboxes'][i])
                common = dict(image_id=pred['img_id'], category_id=self.cat_ids[label],
                              bbox=[x1, y1, x2 - x1, y2 - y1])
                out['bbox'].append(dict(common, score=float(scores[i])))
                if 'masks' in pred:
                    out['segm'].append(dict(common, score=float(mask_scores[i]),
                                            segmentation=pred['masks'][i]))
        if not out['bbox']:
            logger.warning('The model detected nothing in any image: every figure is 0.')
        return out

    def _write(self, detections, logger):
        folder = os.path.dirname(self.outfile_prefix)
        if folder:
            os.makedirs(folder, exist_ok=True)
        for kind, entries in detections.items():
            if kind not in self.written:
                continue
            path = f'{self.outfile_prefix}.{kind}.json'
            dump(entries, path)
            logger.info(f'{plural(len(entries), "detection")} written to {path}')

    def _evaluate(self, metric, detections, logger):
        kind = 'segm' if metric == 'segm' else 'bbox'
        if kind not in detections:
            raise KeyError(f'CocoMaskMetric: {metric!r} asked for, but the predictions have '
                           'no masks')
        entries = detections[kind]
        if kind == 'segm':
            # with a box in it, a result's area would be the area of the box
            entries = [{k: v for k, v in e.items() if k != 'bbox'} for e in entries]
        evaluator = run_coco_eval(
            self._coco_api, entries, kind, backend=self.backend,
            cat_ids=[i for i in self.cat_ids if i is not None], img_ids=self.img_ids,
            iou_thrs=self.iou_thrs, use_cats=metric != 'proposal',
            max_dets=self.proposal_nums if metric == 'proposal' else self.max_dets)
        figures = summarize(evaluator)
        if metric == 'proposal':
            items = self.metric_items or [name for name in figures if name.startswith('AR')]
        else:
            items = self.metric_items or self.DEFAULT_ITEMS
        for item in items:
            if item not in figures:
                raise KeyError(f'metric item {item!r} is not supported; '
                               f'choose from {", ".join(figures)}')
        logger.info(_summary_text(metric, figures, self.max_dets[-1]))
        out = OrderedDict((item if metric == 'proposal' else f'{metric}_{item}', figures[item])
                          for item in items)
        if self.classwise and metric != 'proposal':
            out.update(self._classwise(metric, evaluator, logger))
        return out

    def _recall(self, preds, logger):
        """Average recall of boxes by their number an image, whatever their classes."""
        found = {pred['img_id']: pred for pred in preds}
        pairs = []
        for image in self.img_ids:
            annotations = self._coco_api.load_anns(self._coco_api.get_ann_ids(img_ids=[image]))
            truths = [one['bbox'] for one in annotations
                      if not one.get('ignore') and not one.get('iscrowd')]
            if image in found:
                boxes = found[image]['bboxes'][np.argsort(-found[image]['scores'], kind='stable')]
                pairs.append((truths, np.c_[boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]))
            else:
                pairs.append((truths, np.zeros((0, 4))))
        figures = average_recalls(pairs, self.proposal_nums, self.iou_thrs)
        logger.info('proposal_fast  ' + '  '.join(f'{name} {value:.3f}'
                                                  for name, value in figures.items()))
        return figures

    def _classwise(self, metric, evaluator, logger):
        """Figures of every category, as a table in the log and as {name_precision: AP}."""
        params = evaluator.params
        precision = evaluator.eval['precision'][..., -1]  # (thresholds, recalls, cats, areas)
        name_of = {c['id']: printable(c['name']) for c in self._coco_api.dataset['categories']}
        rows, out = [['category', *self.DEFAULT_ITEMS]], {}
        for k, cat_id in enumerate(params.catIds):
            values = [mean_of_valid(precision[:, :, k, 0])]
            values += [mean_of_valid(precision[np.isclose(params.iouThrs, iou), :, k, 0])
                       for iou in (0.5, 0.75)]
            values += [mean_of_valid(precision[:, :, k, area]) for area in (1, 2, 3)]
            rows.append([name_of[cat_id]] + ['-' if v < 0 else f'{v:.3f}' for v in values])
            key = 'precision' if len(self.metrics) == 1 else f'{metric}_precision'
            out[f'{name_of[cat_id]}_{key}'] = values[0] if values[0] >= 0 else float('nan')
        logger.info(f'{metric} AP of every category\n' + AsciiTable(rows).table)
        return out


def to_rles(masks: object) -> list[dict]:
    """COCO run-length encodings (``counts`` as str) of bitmaps or encodings.

    Args:
        masks: (N, H, W) bool or 0/1 tensor or array, or a sequence of N RLE dictionaries.

    Returns:
        list[dict]: N dictionaries with ``size`` [H, W] and ``counts``.
    """
    if isinstance(masks, torch.Tensor) or (isinstance(masks, np.ndarray)
                                           and masks.dtype != object):
        masks = encode_masks(masks) if len(masks) else []
    out = []
    for i in range(len(masks)):
        rle = masks[i]
        counts = rle['counts']
        if isinstance(counts, list):
            counts = mask_util.frPyObjects(rle, *rle['size'])['counts']
        out.append(dict(size=[int(v) for v in rle['size']],
                        counts=counts.decode() if isinstance(counts, bytes) else counts))
    return out


def array_of(values: torch.Tensor | Sequence) -> np.ndarray:
    """A tensor, wherever it is and of whatever type, or a sequence as an array."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        # numpy has no bfloat16
        return (values.float() if values.is_floating_point() else values).numpy()
    return np.asarray(values)


def _summary_text(metric, figures, max_det):
    def text(name):
        return '-' if figures[name] < 0 else f'{figures[name]:.3f}'
    if metric == 'proposal':
        return 'proposal  ' + '  '.join(f'{n} {text(n)}' for n in figures if n[:2] == 'AR')
    return (f'{metric}  AP {text("mAP")}  AP50 {text("mAP_50")}  AP75 {text("mAP_75")}  '
            f'small {text("mAP_s")}  medium {text("mAP_m")}  large {text("mAP_l")}  '
            f'AR@{max_det} {text(f"AR@{max_det}")}')
