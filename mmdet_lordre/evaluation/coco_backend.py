"""COCO's protocol by whichever library is installed: faster-coco-eval or pycocotools.

Both give the same precision and recall arrays; the summary is taken from those arrays
here, so that the figures cannot differ by the way in which a library prints them.
"""
import contextlib
import copy
import importlib.util
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

#: name -> (what, IoU threshold, area range, position in ``maxDets``)
STATS = {
    'mAP': ('precision', None, 'all', -1),
    'mAP_50': ('precision', 0.5, 'all', -1),
    'mAP_75': ('precision', 0.75, 'all', -1),
    'mAP_s': ('precision', None, 'small', -1),
    'mAP_m': ('precision', None, 'medium', -1),
    'mAP_l': ('precision', None, 'large', -1),
}
for _i in range(3):
    STATS[f'AR#{_i}'] = ('recall', None, 'all', _i)
for _area in ('small', 'medium', 'large'):
    STATS[f'AR_{_area[0]}#-1'] = ('recall', None, _area, -1)

_AREAS = ('all', 'small', 'medium', 'large')


def pick_backend(name: str = 'auto') -> str:
    """'faster' or 'pycocotools'.

    Args:
        name: 'auto' takes faster-coco-eval when it is installed.

    Raises:
        ValueError: The name is unknown, or faster-coco-eval is asked for and missing.
    """
    installed = importlib.util.find_spec('faster_coco_eval') is not None
    if name == 'auto':
        return 'faster' if installed else 'pycocotools'
    if name == 'faster' and not installed:
        raise ValueError("backend 'faster' needs faster-coco-eval: pip install faster-coco-eval")
    if name not in ('faster', 'pycocotools'):
        raise ValueError(f"backend must be 'auto', 'faster' or 'pycocotools', not {name!r}")
    return name


def run_coco_eval(coco_gt: COCO, results: list[dict], iou_type: str, *, cat_ids: Sequence[int],
                  img_ids: Sequence[int], max_dets: Sequence[int],
                  iou_thrs: np.ndarray | None = None, use_cats: bool = True,
                  backend: str = 'pycocotools') -> COCOeval:
    """Match detections with the ground truth and accumulate precision and recall.

    Args:
        coco_gt: Ground truth; not changed.
        results: Detections in COCO's results format, possibly none.
        iou_type: 'segm' or 'bbox'.
        cat_ids: Categories that count.
        img_ids: Images that count.
        max_dets: Three numbers of detections an image, ascending.
        iou_thrs: IoU thresholds; COCO's ten by default.
        use_cats: False matches without regard to the category (proposals).
        backend: 'faster' or 'pycocotools'.

    Returns:
        The evaluator after ``accumulate()``: ``.eval['precision']`` of shape
        (thresholds, 101 recalls, categories, 4 area ranges, 3 max_dets) and
        ``.eval['recall']`` of shape (thresholds, categories, 4, 3); -1 where there is no
        ground truth.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # both libraries print their progress
        if backend == 'faster':
            from faster_coco_eval import COCO as FasterCOCO
            from faster_coco_eval import COCOeval_faster
            # with both libraries the evaluator writes into the annotations
            gt = coco_of(copy.deepcopy(coco_gt.dataset), FasterCOCO)
            evaluator = COCOeval_faster(gt, detections_of(gt, results, FasterCOCO), iou_type,
                                        print_function=lambda *_: None)
        else:
            gt = coco_of(copy.deepcopy(coco_gt.dataset), COCO)
            evaluator = COCOeval(gt, detections_of(gt, results, COCO), iou_type)
        params = evaluator.params
        params.catIds, params.imgIds = list(cat_ids), list(img_ids)
        params.maxDets = list(max_dets)
        params.useCats = int(use_cats)
        if iou_thrs is not None:
            params.iouThrs = np.asarray(iou_thrs, dtype=float).reshape(-1)
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def summarize(evaluator: COCOeval) -> dict[str, float]:
    """The twelve COCO figures as {name: float}; -1 where there is no ground truth.

    Recall names carry the number of detections: 'AR@100', 'AR_s@100'.
    """
    params = evaluator.params
    figures = {}
    for name, (what, iou, area, position) in STATS.items():
        values = evaluator.eval[what]
        if iou is not None:
            values = values[np.isclose(params.iouThrs, iou)]
        values = values[..., _AREAS.index(area), position]
        if '#' in name:
            name = f'{name.split("#")[0]}@{params.maxDets[position]}'
        figures[name] = mean_of_valid(values)
    return figures


def mean_of_valid(values: np.ndarray) -> float:
    """Mean of the entries that have ground truth (> -1), or -1 when there are none.

    Six digits: the libraries divide in another order, and the last bit of a double is not
    a result. (Rounding to twelve first keeps a tie from falling on either side.)
    """
    values = np.asarray(values)
    values = values[values > -1]
    return round(round(float(np.mean(values)), 12), 6) if values.size else -1.0


def coco_of(dataset: dict, cls: type) -> Any:
    """An indexed COCO data set.

    Args:
        dataset: What its file would hold; it becomes the data set's own.
        cls: ``COCO`` of one of both libraries.
    """
    coco = cls()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def detections_of(coco_gt: Any, results: Sequence[dict], cls: type) -> Any:
    """What was found, as an indexed COCO data set; ``results`` may be empty.

    Args:
        coco_gt: The ground truth.
        results: As in a file of results.
        cls: ``COCO`` of one of both libraries.
    """
    if results:
        return coco_gt.loadRes(copy.deepcopy(results))
    # loadRes looks at the first result; without one the index is made here
    return coco_of(dict(images=list(coco_gt.dataset['images']),
                        categories=copy.deepcopy(coco_gt.dataset['categories']),
                        annotations=[]), cls)
