import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_lordre.polarmask import PolarRayCoder, rays
from mmdet_lordre.polarmask.rays import NO_HIT

from .reference import rays_of


def encode(coder, point, contour, reach=512):
    contour = torch.as_tensor(np.asarray(contour), dtype=torch.int32).reshape(-1, 2)
    return coder.encode(torch.tensor([point]), torch.tensor([0]), contour,
                        torch.tensor([len(contour)]), reach)[0]


def test_four_rays_by_hand():
    # down, right, up, left of (10, 20)
    lengths = encode(PolarRayCoder(4), (10, 20), [(10, 25), (13, 20), (10, 18), (3, 20)])
    assert lengths.tolist() == [5, 3, 2, 7]


def test_the_largest_distance_of_a_degree_and_the_nearest_degree_count():
    coder = PolarRayCoder(36)
    # 90 degrees: two pixels; 91 degrees would be farther
    lengths = encode(coder, (0, 50), [(7, 50), (9, 50), (100, 48)])
    assert lengths[9] == 9
    # nothing at 90: 91 comes before 89
    lengths = encode(coder, (0, 50), [(100, 48), (200, 52)])
    assert lengths[9] == pytest.approx(np.hypot(100, 2))
    assert lengths[0] == pytest.approx(NO_HIT)


def test_the_rule_at_0_and_360_degrees():
    contour = [(-1, 100)]  # 359 degrees from the origin
    assert encode(PolarRayCoder(36), (0, 0), contour)[0] == pytest.approx(NO_HIT)
    assert encode(PolarRayCoder(36, wrap=True), (0, 0), contour)[0] == pytest.approx(
        np.hypot(1, 100))


def test_a_wider_search_reaches_farther():
    contour = [(100, 92)]  # 47.4 degrees
    assert encode(PolarRayCoder(4, search=3), (0, 0), contour)[0] == pytest.approx(NO_HIT)
    assert encode(PolarRayCoder(4, search=90), (0, 0), contour)[0] > 100


def test_a_point_on_its_only_contour_pixel():
    lengths = encode(PolarRayCoder(36), (5, 5), [(5, 5)])
    assert lengths[0] == 0 and torch.allclose(lengths[1:], torch.tensor(NO_HIT))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 18, 24, 36, 72, 360]), st.booleans(),
       st.integers(1, 5))
def test_equal_the_published_loop(seed, num_rays, wrap, count):
    rng = np.random.default_rng(seed)
    sizes = torch.from_numpy(rng.integers(1, 60, count))
    contours = torch.from_numpy(rng.integers(0, 200, (int(sizes.sum()), 2)).astype(np.int32))
    owners = torch.from_numpy(rng.integers(0, count, 12))
    points = torch.from_numpy(rng.integers(0, 200, (12, 2)))
    found = PolarRayCoder(num_rays, wrap).encode(points, owners, contours, sizes, 200)
    parts = contours.split(sizes.tolist())
    wanted = torch.stack([rays_of(point, parts[owner], num_rays, wrap)
                          for point, owner in zip(points, owners.tolist())])
    # an arc tangent computed for many at once may differ in its last bit from one computed alone,
    # and fall on the other side of a whole degree
    assert (~found.isclose(wanted, rtol=1e-5, atol=1e-5)).sum() <= 1


@pytest.mark.parametrize('change', ['chunks', 'large image'])
def test_chunks_and_large_images_change_nothing(monkeypatch, change):
    rng = np.random.default_rng(1)
    sizes = torch.tensor([40, 0, 300, 7])
    contours = torch.from_numpy(rng.integers(0, 500, (347, 2)).astype(np.int32))
    owners = torch.tensor([0, 2, 2, 3, 1, 0, 2])
    points = torch.from_numpy(rng.integers(0, 500, (7, 2)))
    coder, reach = PolarRayCoder(36), 500
    wanted = coder.encode(points, owners, contours, sizes, reach)
    if change == 'chunks':
        monkeypatch.setattr(rays, 'chunk_size', lambda *args, **kwargs: 2)
    else:
        reach = 5000
    assert torch.equal(coder.encode(points, owners, contours, sizes, reach), wanted)
    assert torch.allclose(wanted[4], torch.tensor(NO_HIT))


def test_no_points_and_no_contours():
    coder = PolarRayCoder(24)
    nothing = torch.zeros(0, dtype=torch.long)
    empty = torch.zeros(0, 2, dtype=torch.int32)
    assert coder.encode(empty, nothing, empty, nothing, 100).shape == (0, 24)
    lengths = coder.encode(torch.zeros(2, 2, dtype=torch.long), torch.zeros(2).long(), empty,
                           torch.zeros(1).long(), 100)
    assert torch.allclose(lengths, torch.tensor(NO_HIT))


class TestDecode:
    def test_by_hand(self):
        contour = PolarRayCoder(4).decode(torch.tensor([[10, 20]]), torch.tensor([[5., 3, 2, 7]]))
        wanted = torch.tensor([[[10., 25], [13, 20], [10, 18], [3, 20]]])
        torch.testing.assert_close(contour, wanted)

    def test_clamped_to_the_image(self):
        contour = PolarRayCoder(4).decode(torch.tensor([[10., 20]]), torch.full((1, 4), 99.),
                                          (30, 40))
        wanted = torch.tensor([[[10., 29], [39, 20], [10, 0], [0, 20]]])
        torch.testing.assert_close(contour, wanted, atol=1e-4, rtol=0)

    def test_infinite_and_nan_rays_stay_in_the_image(self):
        broken = torch.tensor([[torch.inf, torch.nan, 1e38, 0.0]])
        contour = PolarRayCoder(4).decode(torch.tensor([[3., 4.]]), broken, (30, 40))
        assert contour.isfinite().all()
        assert (contour >= 0).all() and (contour <= torch.tensor([39., 29.])).all()

    @pytest.mark.parametrize('num_rays', [18, 24, 36, 72])
    def test_encode_inverts_it_for_a_circle(self, num_rays):
        angle = np.deg2rad(np.arange(0, 360, 0.25))
        circle = np.round(np.stack((100 + 70 * np.sin(angle), 90 + 70 * np.cos(angle)), 1))
        coder = PolarRayCoder(num_rays)
        lengths = encode(coder, (100, 90), circle)
        assert (lengths - 70).abs().max() < 1.5
        drawn = coder.decode(torch.tensor([[100, 90]]), lengths[None])[0]
        assert ((drawn - torch.tensor([100., 90])).norm(dim=1) - 70).abs().max() < 1.5


@pytest.mark.parametrize('settings_', [dict(num_rays=35), dict(num_rays=2), dict(num_rays=720),
                                       dict(search=91), dict(search=-1)])
def test_impossible_settings_are_refused(settings_):
    with pytest.raises(ValueError, match='must be'):
        PolarRayCoder(**settings_)
