"""One mask inside its bounds."""
import numpy as np
import pytest
from pycocotools import mask as mask_api

from mmdet_lordre.masks import drawing
from mmdet_lordre.masks.drawing import draw_segment


@pytest.mark.parametrize('kind', ['polygon', 'two polygons', 'list of runs', 'compressed runs'])
@pytest.mark.parametrize('size', [(40, 60), (700, 600)])
def test_as_pycocotools_decodes_it(kind, size, monkeypatch):
    rng = np.random.default_rng(0)
    for _ in range(20):
        parts = [rng.uniform(-8, 50, (6, 2)).ravel().tolist() for _ in range(1 + (kind[0] == 't'))]
        runs = mask_api.merge(mask_api.frPyObjects(parts, *size))
        bitmap = mask_api.decode(runs)
        segment = parts
        if kind == 'compressed runs':
            segment = runs
        elif kind == 'list of runs':
            flat = bitmap.ravel('F')
            ends = np.r_[np.flatnonzero(np.diff(flat)) + 1, flat.size]
            counts = np.diff(np.r_[0, ends]).tolist()
            segment = dict(size=list(size), counts=[0, *counts] if flat[0] else counts)
        for limit in (0, 2**62):  # in either way
            monkeypatch.setattr(drawing, '_DECODED', limit)
            (top, left), mask = draw_segment(segment, *size)
            drawn = np.zeros(size, np.uint8)
            drawn[top:top + mask.shape[0], left:left + mask.shape[1]] = mask
            assert np.array_equal(drawn, bitmap)
            # within bounds as tight as can be
            assert not mask.size or (mask.any(0).all() or mask.any(0)[[0, -1]].all())
