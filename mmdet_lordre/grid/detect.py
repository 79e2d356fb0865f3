"""From class scores of grid cells to the detections of a batch, for every grid method.

The number of times that a GPU is waited for does not grow with the images: the values that decide
how much there is to do come to the CPU for the whole batch at once.
"""
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from ..masks import upload
from .nms import matrix_nms

#: Published settings of inference.
TEST_CFG = dict(nms_pre=500, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel='gaussian',
                sigma=2.0, max_per_img=100, mask_format='bitmap')

#: ``masks_of(image, cells)`` yields probabilities (n, h, w) of chunks of class cells, in order;
#: the cells are a LongTensor on the CPU.
MasksOf = Callable[[int, Tensor], Iterable[Tensor]]


class Candidates(NamedTuple):
    """(cell, class) candidates of one image; a cell's mask serves all of its classes.

    Attributes:
        scores: (n,) class scores.
        labels: (n,) classes.
        rows: (n,) which of the cells each belongs to.
        cells: LongTensor (m,) on the CPU, rising.
    """
    scores: Tensor
    labels: Tensor
    rows: Tensor
    cells: Tensor


class Detected(NamedTuple):
    """Detections of one image, by falling score.

    Attributes:
        scores: (n,).
        labels: (n,).
        probs: (n, h, w) mask probabilities.
        cells: LongTensor (n,) on the CPU, the class cell of each.
    """
    scores: Tensor
    labels: Tensor
    probs: Tensor
    cells: Tensor


def find_candidates(scores: Tensor, threshold: float) -> list[Candidates]:
    """The pairs above a threshold, by image.

    Args:
        scores: (B, cells, classes) probabilities after points NMS.
        threshold: Pairs above it are candidates.
    """
    images, cells, labels = (scores > threshold).nonzero(as_tuple=True)
    values = scores[images, cells, labels]
    images, cells = torch.stack((images, cells)).cpu()
    counts = images.bincount(minlength=len(scores)).tolist()
    found = []
    for part, *pairs in zip(cells.split(counts), values.split(counts), labels.split(counts),
                            strict=True):
        used, rows = part.unique_consecutive(return_inverse=True)
        found.append(Candidates(*pairs, upload(rows, scores.device), used))
    return found


def mask_statistics(probs: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Pixels inside each mask of (n, h, w), and the sum of the probabilities there."""
    inside = probs > threshold
    return inside.sum((1, 2)), (probs * inside).sum((1, 2))


def detect(candidates: list[Candidates], masks_of: MasksOf, strides: Tensor,
           size: tuple[int, int], cfg: dict) -> list[Detected]:
    """Detections of a batch.

    The masks of all candidates are never held at once: a first pass takes their areas and sums
    chunk by chunk; only those of the best ``nms_pre`` are kept, a byte a pixel, or computed again.

    Args:
        candidates: By image.
        masks_of: Computes mask probabilities.
        strides: (cells,), the area that each cell's mask must exceed, in pixels of the maps.
        size: (h, w) of the maps.
        cfg: ``mask_thr``, ``nms_pre``, ``kernel``, ``sigma``, ``filter_thr``, ``max_per_img``.
    """
    limit = cfg.get('nms_pre', -1)
    ranked = [_rank(image, found, masks_of, strides, cfg,
                    hold=len(candidates) == 1 and not 0 < limit < len(found.cells))
              for image, found in enumerate(candidates)]
    again = [image for image, best in enumerate(ranked) if best.masks is None]
    if again:
        rows = _to_cpu([ranked[image].rows for image in again])
        for image, part in zip(again, rows, strict=True):
            masks = _masks(image, candidates[image].cells, part, masks_of, size, cfg.mask_thr,
                           strides.device)
            ranked[image] = ranked[image]._replace(masks=masks)
    kept = []
    for best in ranked:
        scores, labels, index = matrix_nms(
            best.masks, best.labels, best.scores, kernel=cfg.get('kernel', 'gaussian'),
            sigma=cfg.get('sigma', 2.0), max_num=cfg.get('max_per_img', -1))
        kept.append((scores, labels, best.rows[index]))
    return _finish(candidates, ranked, kept, masks_of, size, cfg)


class _Ranked(NamedTuple):
    """The best candidates of an image; those whose mask is too small have the score -1."""
    scores: Tensor
    labels: Tensor
    rows: Tensor
    masks: Tensor | None        # bool, of each candidate; None: not at hand
    probs: Tensor | None        # of all cells, where they are few


def _rank(image, found, masks_of, strides, cfg, hold):
    statistics, masks, probs = [], [], None
    for probs in masks_of(image, found.cells):
        statistics.append(mask_statistics(probs, cfg.mask_thr))
        if hold:
            masks.append(probs > cfg.mask_thr)
    if not statistics:
        empty = strides.new_zeros(0, 1, 1, dtype=torch.bool)
        return _Ranked(*found[:3], empty, None)
    areas, sums = (torch.cat(parts) for parts in zip(*statistics, strict=True))
    cells = upload(found.cells, strides.device)
    large = areas > strides[cells]
    scores = found.scores * (sums / areas.clamp(min=1))[found.rows]
    scores = scores.masked_fill(~large[found.rows], -1)
    order = scores.sort(descending=True, stable=True).indices
    if cfg.get('nms_pre', -1) > 0:
        order = order[:cfg.nms_pre]
    rows = found.rows[order]
    return _Ranked(scores[order], found.labels[order], rows,
                   torch.cat(masks)[rows] if hold else None,
                   probs if hold and len(statistics) == 1 else None)


def _masks(image, cells, rows, masks_of, size, threshold, device):
    """Thresholded masks (n, h, w) of rows (on the CPU) of an image's cells, computed again."""
    used, inverse = cells[rows].unique(return_inverse=True)
    parts = [probs > threshold for probs in masks_of(image, used)]
    masks = torch.cat(parts) if parts else torch.zeros(0, *size, dtype=torch.bool, device=device)
    return masks[upload(inverse, device)]


def _to_cpu(parts):
    """Tensors (n_i,) on the CPU, in one copy."""
    return torch.cat(parts).cpu().split([len(part) for part in parts])


def _finish(candidates, ranked, kept, masks_of, size, cfg):
    """Leave out what is below the threshold, and take the probabilities of the rest."""
    # scores in float64 hold rows exactly as well
    values = _to_cpu([torch.stack((scores.double(), rows.double()), dim=1).flatten()
                      for scores, _, rows in kept])
    lowest = cfg.get('filter_thr', -1)
    results = []
    for image, (scores, labels, rows) in enumerate(kept):
        on_cpu = values[image].unflatten(0, (-1, 2))
        best = on_cpu[:, 0].to(scores.dtype)
        count = int((best >= lowest).sum() if lowest > 0 else (best > 0).sum())
        cells = candidates[image].cells[on_cpu[:count, 1].long()]
        if ranked[image].probs is not None:
            probs = ranked[image].probs[rows[:count]]
        else:
            used, inverse = cells.unique(return_inverse=True)
            parts = list(masks_of(image, used)) if count else []
            probs = (torch.cat(parts)[upload(inverse, scores.device)] if parts
                     else scores.new_zeros(0, *size))
        results.append(Detected(scores[:count], labels[:count], probs, cells))
    return results
