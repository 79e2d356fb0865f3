"""The size of the images: what can be reached against what is learned in the time."""
from dataclasses import replace

import numpy as np
import pytest

from mmdet_lordre.planning import sizing
from mmdet_lordre.planning.affordable import _fitting, affordable
from mmdet_lordre.planning.cost import Cost
from mmdet_lordre.planning.fit import FAMILIES, fit
from mmdet_lordre.planning.learned import EFFORT, learned
from mmdet_lordre.planning.objects import read_objects
from mmdet_lordre.planning.sample import Looks
from mmdet_lordre.planning.sizing import best_size, sizes_up_to
from mmdet_lordre.planning.tiling import cut, tiling_of

from .data import coco, square

SIZES = [96, 128, 160, 192, 224, 256, 320]
BOTH = 'float32', 'bfloat16'


def test_half_of_the_ceiling_worked_by_hand():
    # half of it after 0.2 thousand images
    assert learned('solov2', 1, 200, 200) == pytest.approx(0.5)
    assert learned('solov2', 1, 200, 600) == pytest.approx(3 / 4)
    assert learned('solov2', 1, 400, 400) == pytest.approx(0.5)
    # contours are learned to three pixels
    assert learned('solov2', 1, 200, 600, side=9) == pytest.approx(3 / 4 * 9 / 12)


@pytest.mark.parametrize('family', FAMILIES)
def test_more_images_are_worth_more_and_larger_ones_take_longer(family):
    assert family in EFFORT
    few, many = learned(family, 1, 256, 1000), learned(family, 1, 256, 9000)
    assert 0 < few < many < 1
    assert learned(family, 1, 512, 1000) < few
    by_form, by_color = (learned(family, 5, 256, 1000, colored) for colored in (False, True))
    assert by_form < by_color < few


def choose(minutes, ceiling, asked=None):
    """Steps cost by the pixels; ``asked`` collects the sizes whose ceilings were computed."""
    def known(size):
        if asked is not None:
            asked.append(size)
        return ceiling(size)

    return best_size(SIZES, known, lambda size: learned(
        'solov2', 1, size, 6e4 * minutes * (160 / size)**2 / 60))


def test_large_images_where_small_ones_can_reach_little():
    size, ceiling = choose(10, lambda size: size / 400)
    assert size == 320 and ceiling == 0.8


def test_small_images_where_they_reach_as_much():
    asked = []
    assert choose(1, lambda size: 0.9, asked=asked) == (96, 0.9)
    assert asked == SIZES[:len(asked)] and len(asked) < len(SIZES)


def test_longer_trainings_have_larger_images():
    chosen = [choose(minutes, lambda size: 1 - 40 / size)[0] for minutes in (0.1, 1, 10, 100)]
    assert chosen == sorted(chosen) and chosen[0] < chosen[-1]


def test_a_ceiling_of_zero_is_left_behind():
    assert choose(1, lambda size: max(0, size - 200) / 400)[0] > 200


def test_how_samples_happen_to_fall_does_not_count():
    """Masks of small objects fit some sizes by chance: no larger one is worth less for that, and
    none behind such a one is overlooked."""
    lucky = {160: 0.8, 192: 0.5, 224: 0.5, 256: 0.95, 320: 0.6}
    assert choose(100, lambda size: lucky.get(size, 0.4)) == (320, 0.95)
    assert choose(10, lambda size: lucky.get(size, 0.4)) == (256, 0.95)
    assert choose(0.5, lambda size: lucky.get(size, 0.4))[0] == 160


def test_sizes_end_at_the_largest_of_use():
    assert sizes_up_to(192) == [96, 128, 160, 192] and sizes_up_to(32) == [96]


class Measured:
    """Steps that cost by their pixels, and ceilings by hand."""
    device = 'cpu'

    def __init__(self, train, ceiling, memory=lambda size: 100., gains_from=1e9, by='size'):
        self.train, self.top, self.memory, self.gains_from = train, ceiling, memory, gains_from
        self.by = by
        self.sizes, self.precisions, self.batches = [], [], []

    def steps(self, one, precisions):
        self.sizes.append(one.longer)
        self.precisions.append(precisions)
        low = precisions == BOTH[1:] or (len(precisions) == 2 and one.longer >= self.gains_from)
        self.batches.append(one.batch_size)
        held = self.memory(one.longer if self.by == 'size' else one.batch_size)
        return Cost(1e-6 * one.longer**2, 0., held, low)

    def whole(self, one, cost):
        return cost

    def ceiling(self, one, longest):
        return self.top(one.longer)


def test_large_pictures_are_not_measured_to_be_ruled_out():
    """Bolts on plates: too large for crops, too small for anything but large pictures."""
    plate, bolts = (square(100, 100, 1600, 900), 1), [(square(200 + 60 * i, 300, 12), 0)
                                                      for i in range(9)]
    train = read_objects(coco([[plate, *bolts]] * 20, ('bolt', 'plate'), (1200, 2000)), 'a.json',
                         None)
    assert sizing.image_sizes(train)[0] == 1536
    for top, minutes, most in ((lambda longer: 0.5, 5, 640),
                               (lambda longer: longer / 1536, 5, 1536)):
        measuring = Measured(train, top)
        one, _ = affordable(fit(train, Looks(), 'lordre'), measuring, Looks(), minutes)
        assert measuring.sizes[:2] == [256, 640] and one.longer <= most
        assert measuring.sizes[2:] in ([], [one.longer])


@pytest.mark.parametrize('minutes', [1, 5, 20, 200, 2000])
def test_between_two_sizes_nothing_is_measured(minutes):
    train = read_objects(coco([[(square(60 + 100 * i, 100, 30), 0) for i in range(4)]] * 20,
                              size=(512, 512)), 'a.json', None)
    measuring = Measured(train, lambda longer: 1 - 40 / longer)
    one, cost = affordable(fit(train, Looks(), 'lordre'), measuring, Looks(), minutes)
    small, large = measuring.sizes[:2]
    assert 2 * small <= large <= 3 * small
    assert measuring.sizes[2:] == ([] if small <= one.longer <= large else [one.longer])
    assert cost.step == pytest.approx(1e-6 * one.longer**2)
    assert cost.memory == 100 and cost.load == 0


def squares_of_30_px():
    return read_objects(coco([[(square(60 + 100 * i, 100, 30), 0) for i in range(4)]] * 20,
                             size=(512, 512)), 'a.json', None)


@pytest.mark.parametrize('memory, limit, expected', [
    (lambda size: 60 + 1e-3 * size**2, 400, 512),  # of 583 px all of it would be taken
    (lambda size: 60 + 1e-3 * size**2, 300, 448),
    (lambda size: 1e-3 * size**2, 300, 512),
    (lambda size: 60., 300, 320),  # it does not grow: 160 px and as much a pixel
    (lambda size: 60 + 1e-3 * size**2 * (1 if size < 400 else 3), 300, 384),  # more than expected
    (lambda size: float('nan'), 1, 1024),
])
def test_memory_bounds_the_size(memory, limit, expected):
    measuring = Measured(squares_of_30_px(), lambda longer: longer / 1536, memory)
    one, cost = affordable(fit(measuring.train, Looks(), 'lordre', batch_size=2), measuring,
                           Looks(), 1e5, limit / 1024)
    assert one.longer == expected and not cost.memory > limit
    assert one.batch_size == 2


@pytest.mark.parametrize('memory, batches', [
    (lambda batch: 300 + 50 * batch, [4, 3, 2]),
    (lambda batch: 300 + 10 * batch, [4]),
    (lambda batch: 100 * batch, [5, 4]),
    (lambda batch: 390 + 20 * batch, [8, 5, 1]),
    (lambda batch: 500., [4, 3, 1]),
    (lambda batch: float('nan'), [4])])
def test_the_batch_is_made_smaller_until_it_fits(memory, batches):
    measuring = Measured(squares_of_30_px(), lambda longer: 1., memory, by='batch')
    one = fit(measuring.train, Looks(), 'lordre', batch_size=batches[0])
    one, _ = _fitting(one, measuring.steps(one, BOTH), measuring, 400 / 1024)
    assert measuring.batches == batches and one.batch_size == batches[-1]


@pytest.mark.parametrize('share', [0., 0.5])
def test_what_the_sample_shows_holds_at_every_size(share):
    measuring = Measured(squares_of_30_px(), lambda longer: longer / 1536)
    looks = Looks(holes=share)
    one, _ = affordable(fit(measuring.train, looks, 'polarmask'), measuring, looks, 20)
    assert one.heads['holes'] == bool(share) and f'{share:.0%} of the objects' in one.why['holes']


@pytest.mark.parametrize('gains_from, measured', [
    (0, [(160, BOTH), (384, BOTH[1:])]),  # what gains on small pictures is not asked again
    (200, [(160, BOTH), (384, BOTH), (256, BOTH)]),  # between sizes of two precisions
    (1000, [(160, BOTH), (384, BOTH)]),
])
def test_the_precision_is_that_of_the_size(monkeypatch, gains_from, measured):
    monkeypatch.setattr('mmdet_lordre.planning.affordable.slow_bfloat16', lambda: None)
    measuring = Measured(squares_of_30_px(), lambda longer: min(longer, 256) / 256,
                         gains_from=gains_from)
    one, cost = affordable(fit(measuring.train, Looks(), 'lordre'), measuring, Looks(), 0.2)
    assert one.longer == 256 and cost.low_precision == (gains_from < 256)
    assert list(zip(measuring.sizes, measuring.precisions)) == measured


def test_crops_are_compared_with_whole_pictures_by_their_pixels():
    """A panorama at the size that its objects need has no more of them than a crop."""
    panoramas = [[(square(60 + 100 * i, 100, 60), 0) for i in range(30)]] * 20
    train = read_objects(coco(panoramas, size=(300, 4000)), 'a.json', None)
    for size, whole in (((300, 4000), True), ((4000, 4000), False)):
        data = replace(train, sizes=np.tile(size, (20, 1)))
        tiling = tiling_of(data)
        one = fit(cut(data, tiling.tile), Looks(), 'lordre', 'small', tiling.crop,
                  tile=tiling.tile)
        chosen, _ = affordable(one, Measured(data, lambda longer: longer / 1536), Looks(), 20)
        assert (chosen.tile is None) == whole
