"""Where mask losses look."""
import torch

from mmdet_lordre.lordre.lattice import coarse, lattice_around


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float)


def test_a_small_object_is_looked_at_pixel_by_pixel():
    lattice = lattice_around(boxes([4, 6, 8, 9]), (16, 24), 8)
    x, y = lattice.near[0] % 24, lattice.near[0] // 24
    assert sorted(set(x.tolist())) == list(range(2, 10))
    assert sorted(set(y.tolist())) == list(range(4, 12))
    assert (lattice.weights[0, :64] == 1).all()
    # of the coarse points at x = 4, 12, 20 and y = 4, 12 the first is near
    assert lattice.weights[0, 64:].tolist() == [0, 64, 64, 64, 64, 64]


def test_a_large_object_is_looked_at_with_gaps():
    lattice = lattice_around(boxes([0, 0, 24, 24]), (32, 48), 16)
    x = lattice.near[0].view(16, 16)[0] % 48
    # the box's middle is at 12, and every third pixel is taken: from -12 on
    assert x.tolist() == [0, 0, 0, 0, *range(0, 36, 3)]
    inside = lattice.weights[0, :256].view(16, 16)
    assert (inside[:4] == 0).all() and (inside[:, :4] == 0).all() and (inside[4:15, 4:] == 9).all()
    assert (inside[15] == 0).all()  # y = 33


def test_sums_near_an_object_are_exact():
    torch.manual_seed(0)
    where = boxes([3, 2, 9, 8], [30, 20, 38, 26])
    maps = torch.zeros(2, 32, 48)
    maps[0, :12, :16] = torch.rand(12, 16)
    maps[1, 16:30, 27:42] = torch.rand(14, 15)
    lattice = lattice_around(where, (32, 48), 24)
    torch.testing.assert_close((lattice.values(maps) * lattice.weights).sum(1), maps.sum((1, 2)))


def test_weights_count_the_pixels_of_the_image():
    lattice = lattice_around(boxes([50, 60, 58, 70], [10, 10, 110, 90]), (128, 160), 24)
    total = lattice.weights.sum(1) / (128 * 160)
    assert ((total - 1).abs() < 0.05).all(), total


def test_coarse_points_are_the_middles_of_blocks():
    maps = torch.arange(16 * 24).view(1, 16, 24)
    assert coarse(maps).tolist() == [[[100, 108, 116], [292, 300, 308]]]


def test_no_objects():
    assert lattice_around(torch.zeros(0, 4), (16, 16), 8).weights.shape == (0, 64 + 4)
