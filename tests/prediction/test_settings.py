"""What may be asked of a prediction."""
import json
from dataclasses import asdict, fields

import numpy as np
import pytest

from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction.settings import Settings


@pytest.mark.parametrize('name', ['score_thr', 'batch', 'workers', 'min_area', 'fill_holes',
                                  'smooth', 'overlap', 'level', 'every'])
def test_nothing_is_no_number(name):
    with pytest.raises(UserError, match=f'{name}: None is not .*between'):
        Settings(**{name: None})


def test_what_may_be_left_out():
    assert Settings(thresholds=None, mask_nms=None, tile=None, track=None) == Settings()


def test_numbers_of_numpy():
    """They are taken, and written to the file that says what was asked for."""
    given = Settings(score_thr=np.float32(0.5), batch=np.int64(2), min_area=np.uint8(3),
                     mask_nms=np.float64(0.25), tile=np.int64(64))
    assert given == Settings(score_thr=0.5, batch=2, min_area=3, mask_nms=0.25, tile=64)
    assert json.loads(json.dumps(asdict(given))) == asdict(given)
    assert {type(getattr(given, field.name)) for field in fields(given)} <= {
        int, float, bool, type(None)}


@pytest.mark.parametrize('tile', [31, np.int64(31), True, 64.0, 'large'])
def test_tiles_that_are_none(tile):
    with pytest.raises(UserError, match=r"tile: .* is neither 'auto' nor a side"):
        Settings(tile=tile)
