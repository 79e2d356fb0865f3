"""Every model of the configs but those of grids trains one step and predicts."""
import pytest

from .steps import GRIDS, check_a_step, models


@pytest.mark.parametrize(
    'path', [path for path in models() if path.parent.name not in GRIDS],
    ids=lambda path: path.stem)
def test_a_step(path):
    check_a_step(path)
