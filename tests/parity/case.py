"""A parity case: what a published implementation computes on weights and inputs anyone can redraw.

A case is two files, ``NAME.json`` (names and shapes of the published checkpoint, sizes, settings)
and ``NAME.npz`` (the outputs). ``fill.py`` draws the weights and the inputs. The helpers below
hold the tolerances, so that every family is judged alike.
"""
from __future__ import annotations

import functools
import importlib
import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

from .fill import fill_state_dict

OWN_CASES = Path(__file__).resolve().parents[1] / 'data' / 'parity'

#: First word of a case's ``source`` -> module beside this one whose ``check(case)`` compares it.
CHECKS = {'SparseInst': 'lordre', 'SOLO': 'solov2', 'AggMask': 'aggmask', 'PolarMask': 'polarmask'}

RAW_TOLERANCE = 1e-4
SCORE_TOLERANCE = 1e-3
MASK_AGREEMENT = 0.999
BEST = 50


class ParityCase:
    """One case on disk.

    Attributes:
        name: file name without its suffix; it seeds the inputs.
        meta: the JSON object.
        arrays: the published outputs, ``{name: ndarray}``.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        self.meta = json.loads(self.path.read_text())

    def __repr__(self) -> str:
        return f'ParityCase({self.name!r}, source={self.meta.get("source")!r})'

    @functools.cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        with np.load(self.path.with_suffix('.npz')) as stored:
            return {key: stored[key] for key in stored.files}

    def state(self) -> dict[str, np.ndarray]:
        """The published state dict, redrawn: ``{published name: float32 array}``."""
        return fill_state_dict(self.meta['shapes'], self.meta['salt'], self.meta.get('edits', ()))

    def tensors(self) -> dict[str, torch.Tensor]:
        """The published state dict as tensors."""
        return {name: torch.from_numpy(np.array(value)) for name, value in self.state().items()}

    def converted(self, folder: str | os.PathLike | None = None) -> dict[str, torch.Tensor]:
        """The state dict in this project's names, by way of two real checkpoint files.

        Args:
            folder: where the files are written; a temporary folder by default.
        """
        import tempfile

        from mmdet_lordre.checkpoints import convert_file
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            published, ours = Path(scratch, 'published.pth'), Path(scratch, 'ours.pth')
            key = 'model' if self.meta['source'].startswith('SparseInst') else 'state_dict'
            torch.save({key: self.tensors()}, published)
            convert_file(published, ours)
            return torch.load(ours, map_location='cpu', weights_only=True)['state_dict']


def find_cases(extra: str | None = None) -> list[Path]:
    """JSON files of the cases in ``tests/data/parity`` and in the folders of ``$PARITY_CASES``.

    The variable names folders separated by ``:``. A folder without a case is an error, since it
    can only be a slip of the pen. A case found in two folders runs once, the later folder's.
    """
    if extra is None:
        extra = os.environ.get('PARITY_CASES', '')
    found = {path.stem: path for path in sorted(OWN_CASES.glob('*.json'))}
    for folder in filter(None, extra.split(os.pathsep)):
        here = {path.stem: path for path in sorted(Path(folder).expanduser().glob('*.json'))}
        if not here:
            raise FileNotFoundError(f'PARITY_CASES names {folder!r}, which holds no case (*.json)')
        found.update(here)
    return [found[name] for name in sorted(found)]


def check_module(source: str) -> ModuleType:
    """The module whose ``check(case)`` compares cases of ``source``.

    Raises:
        LookupError: nothing here knows that source; a case that nobody compares proves nothing.
    """
    family = str(source).split(' ')[0]
    if family not in CHECKS:
        raise LookupError(f'no parity check for source {source!r}; known: {", ".join(CHECKS)}')
    return importlib.import_module(f'{__package__}.{CHECKS[family]}')


def assert_close(name: str, ours, published, rtol: float = RAW_TOLERANCE,
                 atol: float = RAW_TOLERANCE) -> None:
    """Assert ``|ours - published| <= atol + rtol * |published|`` everywhere, NaN being unequal."""
    ours, published = _numpy(ours), _numpy(published)
    assert ours.shape == published.shape, (
        f'{name}: shape {ours.shape} where the published one is {published.shape}')
    error = np.abs(ours.astype(np.float64) - published)
    allowed = atol + rtol * np.abs(published.astype(np.float64))
    wrong = ~(error <= allowed)
    assert not wrong.any(), (
        f'{name}: {wrong.sum()} of {wrong.size} values differ, by up to {np.nanmax(error):.3g} '
        f'(first at {tuple(np.argwhere(wrong)[0])})')


def assert_loss(name: str, ours, published, rtol: float = 1e-4) -> None:
    """Assert that a loss equals the published one relatively."""
    assert_close(name, ours, published, rtol=rtol, atol=1e-8)


def unpack_masks(case: ParityCase, prefix: str) -> np.ndarray:
    """Masks packed as bits along x: bool array (N, H, W), cropped to ``{prefix}_shape``."""
    shape = tuple(int(size) for size in case.arrays[f'{prefix}_shape'])
    bits = np.unpackbits(case.arrays[prefix], axis=-1)[..., :shape[-1]]
    return bits.reshape(shape).astype(bool)


def assert_detections(case: ParityCase, image: int, scores, labels, masks, best: int = BEST,
                      score_tolerance: float = SCORE_TOLERANCE,
                      mask_agreement: float = MASK_AGREEMENT) -> None:
    """Assert that the final detections of an image are the published ones.

    The ``best`` by score must agree in score, label and, pixel by pixel, mask. Detections of
    equal score may have swapped places.

    Args:
        case: holds ``res{image}_scores``, ``_labels`` and ``_masks``.
        image: index of the image in the case.
        scores, labels: ours, (N,).
        masks: ours at the original size, bool (N, H, W), or anything with ``to_ndarray()``.
    """
    scores, labels, masks = _numpy(scores), _numpy(labels), _numpy(masks).astype(bool)
    wanted_scores = case.arrays[f'res{image}_scores']
    wanted_labels = case.arrays[f'res{image}_labels']
    wanted_masks = unpack_masks(case, f'res{image}_masks')
    where = f'{case.name}, image {image}'
    assert masks.shape[1:] == wanted_masks.shape[1:] or not len(masks), (
        f'{where}: masks of {masks.shape[1:]}, published {wanted_masks.shape[1:]}')
    if len(wanted_scores) < best:
        assert abs(len(scores) - len(wanted_scores)) <= 1, (
            f'{where}: {len(scores)} detections, published {len(wanted_scores)}')
    rank = np.argsort(-wanted_scores, kind='stable')[:best]
    # One more of ours may fall on either side of the score threshold.
    count = min(len(rank), len(scores)) if len(wanted_scores) < best else len(rank)
    assert len(scores) >= count, f'{where}: {len(scores)} detections, published {len(rank)}'
    rank = rank[:count]
    top = np.sort(scores)[::-1][:count]
    assert_close(f'{where}: scores', top, wanted_scores[rank], rtol=0, atol=score_tolerance)

    possible = ((np.abs(scores[None] - wanted_scores[rank, None]) <= score_tolerance)
                & (labels[None] == wanted_labels[rank, None]))
    for row, column in np.argwhere(possible):
        same = (masks[column] == wanted_masks[rank[row]]).mean()
        possible[row, column] = same >= mask_agreement
    rows, columns = linear_sum_assignment(possible, maximize=True)
    unmatched = rank[rows[~possible[rows, columns]]]
    assert not len(unmatched), (
        f'{where}: no detection of ours equals the published {unmatched.tolist()} '
        f'(scores {wanted_scores[unmatched].round(4).tolist()}) in score, label and mask')


def _numpy(value) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy()
    if hasattr(value, 'to_ndarray'):
        return value.to_ndarray()
    return np.asarray(value)
