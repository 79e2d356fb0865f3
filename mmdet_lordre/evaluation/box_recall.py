"""Recall of boxes over all images at once."""
from collections.abc import Sequence

import numpy as np
import pycocotools.mask as mask_util


def average_recalls(pairs: Sequence[tuple[Sequence, np.ndarray]], numbers: Sequence[int],
                    thresholds: float | Sequence[float]) -> dict[str, float]:
    """What mmdet calls ``proposal_fast``: recall averaged over thresholds of IoU.

    Ground truths and boxes of an image are paired greedily, the best overlap first; neither
    classes nor areas matter.

    Args:
        pairs: For each image its ground truths (G, 4) and its boxes (N, 4) by falling score, both
            x, y, width, height.
        numbers: How many boxes an image count.
        thresholds: IoU from which a ground truth is found.

    Returns:
        'AR@100', ...: in [0, 1], or -1 where there is no ground truth at all.
    """
    overlaps = []
    for truths, boxes in pairs:
        # float64 arrays of their own: pycocotools reads memory as it lies
        truths, boxes = (np.array(part, np.float64).reshape(-1, 4) for part in (truths, boxes))
        overlaps.append(np.asarray(mask_util.iou(truths, boxes, [0] * len(boxes)))
                        if len(truths) and len(boxes) else np.zeros((len(truths), len(boxes))))
    figures = {}
    for number in numbers:
        best = np.concatenate([_paired(part[:, :number]) for part in overlaps] or [np.zeros(0)])
        found = best[:, None] >= np.atleast_1d(thresholds)
        figures[f'AR@{number}'] = float(found.mean()) if len(best) else -1.0
    return figures


def _paired(overlaps: np.ndarray) -> np.ndarray:
    """Overlap of each pair (G,), -1 for ground truths that are left over."""
    overlaps = overlaps.copy()
    best = np.full(len(overlaps), -1.0)
    for pair in range(min(overlaps.shape)):
        truth, box = np.unravel_index(overlaps.argmax(), overlaps.shape)
        best[pair] = overlaps[truth, box]
        overlaps[truth], overlaps[:, box] = -1, -1
    return best
