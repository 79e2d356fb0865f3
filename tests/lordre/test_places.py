"""Places: where they are, the windows around them, and what a ground truth's place is."""
import math

import pytest
import torch

from mmdet_lordre.lordre.place_targets import beside, place_heat, places_of
from mmdet_lordre.lordre.places import (
    at_places,
    find_places,
    positional_features,
    positional_kernels,
)


def test_places_by_hand():
    maps = torch.zeros(2, 4, 5)
    maps[0, 1, 1], maps[0, 1, 2], maps[0, 3, 4] = 3, 2, 1  # the 2 is beside the 3
    maps[1] = torch.arange(20.).view(4, 5)
    logits, cells = find_places(maps, 2)
    assert logits[0].tolist() == [3, 1] and cells[0].tolist() == [6, 19]
    # a slope has one maximum, and the other slot is empty
    assert logits[1].tolist() == [19, -1e4] and cells[1, 0] == 19
    assert find_places(maps, 100)[0].shape == (2, 20)


def test_places_are_the_highest_of_a_square():
    maps = torch.zeros(1, 6, 6)
    maps[0, 1, 1], maps[0, 3, 3] = 3, 1
    assert find_places(maps, 2, peak=3)[0][0].tolist() == [3, 1]
    assert find_places(maps, 2, peak=5)[0][0].tolist()[0] == 3
    assert 1 not in find_places(maps, 36, peak=5)[0][0].tolist()
    maps[0, 3, 3], maps[0, 4, 1] = 0, 1
    assert find_places(maps, 2, peak=5)[0][0].tolist() == [3, 1]


def test_values_at_places():
    x = torch.arange(24.).view(1, 2, 3, 4)
    assert at_places(x, torch.tensor([[5, 0, 11]])).tolist() == [[[5, 17], [0, 12], [11, 23]]]


def test_a_window_by_hand():
    """Raw zeros: minus the squared distance in units of the radius."""
    window = positional_kernels(torch.zeros(1, 1, 6), torch.tensor([[[3, 1]]]), 2.0, (4, 6))
    maps = (window @ positional_features(torch.zeros(1, 2, 4, 6)).flatten(2)).view(4, 6)
    for y in range(4):
        for x in range(6):
            assert maps[y, x] == pytest.approx(-((x - 3)**2 + (y - 1)**2) / 4, abs=1e-5)


def test_windows_are_what_they_say():
    g = torch.Generator().manual_seed(0)
    raw, votes = torch.randn(2, 3, 6, generator=g), torch.randn(2, 2, 5, 7, generator=g)
    centers = torch.randint(0, 5, (2, 3, 2), generator=g)
    maps = positional_kernels(raw, centers, 1.5, (5, 7)) @ positional_features(votes).flatten(2)
    y, x = torch.meshgrid(torch.arange(5.), torch.arange(7.), indexing='ij')
    for b in range(2):
        for n in range(3):
            sx, sy, dx, dy, r, bias = raw[b, n]
            u = (x + votes[b, 0] - centers[b, n, 0] - 1.5 * dx) / 1.5 * math.exp(-sx)
            v = (y + votes[b, 1] - centers[b, n, 1] - 1.5 * dy) / 1.5 * math.exp(-sy)
            plain = bias - u * u - v * v - 1.5 * math.tanh(r) * u * v
            assert torch.allclose(maps[b, n].view(5, 7), plain, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('corner', [14, 370])
def test_a_window_far_from_the_middle_is_exact(corner):
    """Squares of coordinates cancel; the window of the smallest size still has its form."""
    raw = torch.zeros(1, 1, 6)
    raw[..., :2] = -3
    size = 384, 384
    features = positional_features(torch.zeros(1, 2, *size))
    maps = positional_kernels(raw, torch.tensor([[[corner, corner]]]), 2.0, size) \
        @ features.flatten(2)
    near = slice(corner - 8, corner + 9)
    squares = torch.arange(-8, 9)**2
    exact = -(squares[:, None] + squares) * math.exp(6) / 4
    torch.testing.assert_close(maps.view(size)[near, near], exact, rtol=0, atol=1)


def cover(*boxes, size=(8, 8)):
    """Coverage of rectangles (x1, y1, x2, y2) in cells, and their boxes at stride 4."""
    coverage = torch.zeros(len(boxes), *size)
    for part, (x1, y1, x2, y2) in zip(coverage, boxes):
        part[y1:y2, x1:x2] = 1
    return coverage, 4 * torch.tensor(boxes, dtype=torch.float32).view(-1, 4)


def test_the_place_is_the_middle():
    coverage, boxes = cover((1, 2, 4, 7), (5, 0, 8, 1))
    assert places_of(coverage, boxes, 4).tolist() == [[2, 4], [6, 0]]


def test_a_cell_of_another_object_is_no_place():
    """A bar across a square: the square's place is beside the bar, the bar keeps the middle."""
    coverage, boxes = cover((0, 0, 7, 7), (0, 3, 7, 4))
    coverage[0, 3] = 0  # covered
    square, bar = places_of(coverage, boxes, 4).tolist()
    assert bar == [3, 3] and square in ([3, 2], [3, 4])


def test_the_hole_of_a_ring_is_its_place():
    coverage, boxes = cover((0, 0, 7, 7))
    coverage[0, 2:5, 2:5] = 0
    assert places_of(coverage, boxes, 4).tolist() == [[3, 3]]


def test_an_object_that_covers_no_cell():
    coverage, _ = cover((0, 0, 0, 0))
    assert places_of(coverage, torch.tensor([[20., 8., 22., 11.]]), 4).tolist() == [[5, 2]]
    outside = torch.tensor([[100., -9., 120., -3.]])
    assert places_of(coverage, outside, 4).tolist() == [[7, 0]]
    assert places_of(coverage[:0], outside[:0], 4).shape == (0, 2)


def test_places_in_half_precision():
    """Far from the origin bfloat16 has no digit for a cell."""
    coverage = torch.zeros(1, 4, 400)
    coverage[:, 1:3, 300:335] = 1
    with torch.autocast('cpu', torch.bfloat16):
        assert places_of(coverage, torch.zeros(1, 4), 4).tolist() == [[317, 1]]


def test_heat_by_hand():
    heat = place_heat(torch.tensor([[1, 2], [4, 2]]), torch.tensor([4., 49.]), (5, 6), 0.1)
    assert heat[2, 1] == 1 and heat[2, 4] == 1 and heat.max() == 1
    assert heat[1, 1] == pytest.approx(math.exp(-0.5 / 0.5**2))  # 0.3 + 0.1 * 2
    assert heat[2, 5] == pytest.approx(math.exp(-0.5))  # 0.3 + 0.1 * 7
    assert not place_heat(torch.zeros(0, 2, dtype=torch.long), torch.zeros(0), (5, 6), 0.1).any()


def test_beside_a_place():
    y, x = torch.meshgrid(torch.arange(5), torch.arange(6), indexing='ij')
    places = torch.stack([x.flatten(), y.flatten()], dim=1)
    moved = beside(places, (5, 6))
    assert torch.equal(moved, beside(places, (5, 6)))
    shift = moved - places
    assert shift.abs().max() == 1 and (moved >= 0).all()
    assert (moved[:, 0] < 6).all() and (moved[:, 1] < 5).all()
    assert len(shift.unique(dim=0)) == 8 + bool((shift == 0).all(1).any())
