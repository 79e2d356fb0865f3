"""AP of written results, by COCO's own evaluator."""
import json
import os
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def mask_ap(truth: str | os.PathLike, results: str | os.PathLike) -> float:
    """AP of masks; 0 of none.

    Args:
        truth: Annotation file.
        results: File of COCO results.
    """
    found = json.loads(Path(results).read_text())
    if not found:
        return 0.
    for one in found:
        one.pop('bbox', None)  # else areas would be the boxes'
    truth = COCO(truth)
    evaluator = COCOeval(truth, truth.loadRes(found), 'segm')
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return float(evaluator.stats[0])
