"""Neighbors: exact indices, worked by hand."""
import pytest
import torch

from mmdet_lordre.aggmask.neighbors import neighbor_index, neighbor_pattern


def cells(class_grid, mask_grid, pattern, row, column):
    index = neighbor_index(class_grid, mask_grid, pattern)
    return [tuple(pair) for pair in index[row * class_grid + column].tolist()]


class TestPattern:
    EQUAL, HALF = ((40, 36), (40, 36)), ((40, 36), (20, 18))

    def test_four_becomes_five_where_a_level_has_equal_grids(self):
        assert neighbor_pattern(4, *self.HALF) == 'corners'
        assert neighbor_pattern(4, *self.EQUAL) == 'plus'
        # decided once for all levels
        assert neighbor_pattern(4, (50, 24), (40, 24)) == 'plus'
        assert neighbor_pattern(4, *self.HALF, interpolation_mode=5) == 'plus'
        assert neighbor_pattern(4, *self.HALF, interpolation_mode=4) == 'corners'
        assert neighbor_pattern(4, *self.EQUAL, interpolation_mode=4) == 'plus'

    def test_others(self):
        assert neighbor_pattern(9, *self.HALF) == 'square'
        assert neighbor_pattern(5, *self.HALF) == 'plus'
        assert neighbor_pattern(1, *self.EQUAL) == 'nearest'
        assert neighbor_pattern(1, *self.HALF) == 'third corner'
        assert neighbor_pattern(0, *self.EQUAL) == 'none'

    def test_errors(self):
        with pytest.raises(ValueError, match='4, 5, 9, 1 or 0'):
            neighbor_pattern(3, *self.EQUAL)
        with pytest.raises(ValueError, match='levels'):
            neighbor_pattern(4, (40, 36), (40,))
        with pytest.raises(ValueError, match='interpolation_mode'):
            neighbor_pattern(4, *self.EQUAL, interpolation_mode=3)
        for neighbors in (9, 0):
            with pytest.raises(ValueError, match=f'interpolation_mode=5.*={neighbors}'):
                neighbor_pattern(neighbors, *self.HALF, interpolation_mode=5)
        assert neighbor_pattern(5, *self.HALF, interpolation_mode=5) == 'plus'
        assert neighbor_pattern(1, *self.HALF, interpolation_mode=5) == 'nearest'


class TestIndex:
    def test_corners(self):
        # (1, 2) of 5 cells lies at (1, 2) * 2 / 4 = (0.5, 1) of 3
        assert cells(5, 3, 'corners', 1, 2) == [(0, 1), (1, 1), (1, 1), (0, 1)]
        # (1, 3) lies at (0.5, 1.5): floor and ceil, ceil and ceil, ceil and floor, floor both
        assert cells(5, 3, 'corners', 1, 3) == [(0, 2), (1, 2), (1, 1), (0, 1)]
        assert cells(5, 3, 'third corner', 1, 3) == [(1, 1)]

    def test_plus_and_clamp(self):
        assert cells(4, 4, 'plus', 1, 2) == [(0, 2), (1, 1), (1, 2), (1, 3), (2, 2)]
        assert cells(4, 4, 'plus', 0, 0) == [(0, 0), (0, 0), (0, 0), (0, 1), (1, 0)]
        assert cells(4, 4, 'plus', 3, 3) == [(2, 3), (3, 2), (3, 3), (3, 3), (3, 3)]
        assert cells(4, 4, 'nearest', 3, 1) == [(3, 1)]

    def test_halves_round_to_the_even_cell(self):
        # 1 * 2 / 4 = 0.5 -> 0; 3 * 2 / 4 = 1.5 -> 2
        assert cells(5, 3, 'nearest', 1, 3) == [(0, 2)]

    def test_square_is_row_major(self):
        assert cells(4, 4, 'square', 1, 1) == [(r, c) for r in range(3) for c in range(3)]
        assert cells(4, 4, 'square', 0, 3)[:3] == [(0, 2), (0, 3), (0, 3)]

    def test_none(self):
        assert neighbor_index(4, 2, 'none').shape == (16, 0, 2)

    @pytest.mark.parametrize('class_grid, mask_grid', [(40, 20), (36, 18), (12, 6), (50, 40),
                                                       (60, 40), (7, 40), (1, 5), (5, 1)])
    @pytest.mark.parametrize('pattern', ['corners', 'plus', 'square', 'nearest', 'third corner'])
    def test_inside_the_grid_and_symmetric(self, class_grid, mask_grid, pattern):
        index = neighbor_index(class_grid, mask_grid, pattern)
        assert index.min() >= 0 and index.max() < mask_grid
        # rows are to columns as columns are to rows
        grid = index.view(class_grid, class_grid, -1, 2)
        if pattern != 'third corner':     # the corner below and to the left
            mirrored = grid.transpose(0, 1).flip(-1)
            assert [sorted(c) for c in grid.flatten(0, 1).tolist()] == [
                sorted(c) for c in mirrored.flatten(0, 1).tolist()]

    def test_the_nearest_is_near(self):
        index = neighbor_index(50, 40, 'nearest')[:, 0].double()
        wanted = torch.cartesian_prod(*2 * [torch.arange(50).double() * 39 / 49])
        assert (index - wanted).abs().max() <= 0.5 + 1e-6

    def test_errors(self):
        with pytest.raises(ValueError, match='at least one cell'):
            neighbor_index(0, 4, 'plus')
        with pytest.raises(ValueError, match='unknown'):
            neighbor_index(4, 4, 'circle')
