"""Pooling whose gradient has a deterministic form on a GPU."""
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from mmdet_lordre.lordre.encoder import MeanGrid, mean_matrix


@pytest.mark.parametrize('size', [(1, 1), (5, 7), (6, 12), (20, 27)])
@pytest.mark.parametrize('cells', [1, 2, 3, 6])
def test_means_are_those_of_adaptive_pooling(size, cells):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    rows, columns = (mean_matrix(side, cells) for side in size)
    torch.testing.assert_close(rows @ x @ columns.t(), F.adaptive_avg_pool2d(x, cells))


def test_it_is_used_where_determinism_is_asked_for():
    x = torch.empty(2, 3, 20, 27, device='meta')
    grid = MeanGrid(6)
    seen = []

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func._schema.name)
            return func(*args, **(kwargs or {}))

    for deterministic in (False, True):
        seen.clear()
        torch.use_deterministic_algorithms(deterministic)
        try:
            with Names():
                assert grid(x).shape == (2, 3, 6, 6)
        finally:
            torch.use_deterministic_algorithms(False)
        assert ('aten::_adaptive_avg_pool2d' in seen) is not deterministic
