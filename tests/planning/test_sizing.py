"""The size of the images: what can be reached against what is learned in the time."""
import pytest

from mmdet_lordre.planning.fit import FAMILIES
from mmdet_lordre.planning.learned import EFFORT, learned
from mmdet_lordre.planning.sizing import best_size, sizes_up_to

SIZES = [96, 128, 160, 192, 224, 256, 320]


def test_half_of_the_ceiling_worked_by_hand():
    # 0.4 is the root of 0.16 thousand images
    assert learned('solov2', 1, 200, 160) == pytest.approx(0.5)
    assert learned('solov2', 1, 200, 640) == pytest.approx(2 / 3)


@pytest.mark.parametrize('family', FAMILIES)
def test_more_images_are_worth_more_and_larger_ones_take_longer(family):
    assert family in EFFORT
    few, many = learned(family, 1, 256, 1000), learned(family, 1, 256, 9000)
    assert 0 < few < many < 1
    assert learned(family, 1, 512, 1000) < few
    by_form, by_color = (learned(family, 5, 256, 1000, colored) for colored in (False, True))
    assert by_form < by_color < few


def choose(minutes, ceiling, start=160, asked=None):
    """Steps cost by the pixels; ``asked`` collects the sizes whose ceilings were computed."""
    def known(size):
        if asked is not None:
            asked.append(size)
        return ceiling(size)

    return best_size(SIZES, start, known, lambda size: learned(
        'solov2', 1, size, 6e4 * minutes * (160 / size)**2 / 60))


def test_large_images_where_small_ones_can_reach_little():
    size, ceiling = choose(10, lambda size: size / 400)
    assert size == 320 and ceiling == 0.8


def test_small_images_where_they_reach_as_much():
    asked = []
    assert choose(1, lambda size: 0.9, asked=asked) == (96, 0.9)
    assert len(asked) == len(set(asked))


def test_longer_trainings_have_larger_images():
    chosen = [choose(minutes, lambda size: 1 - 40 / size)[0] for minutes in (0.1, 1, 10, 100)]
    assert chosen == sorted(chosen) and chosen[0] < chosen[-1]


def test_a_ceiling_of_zero_is_left_behind():
    assert choose(1, lambda size: max(0, size - 200) / 400, start=96)[0] > 200


def test_sizes_end_at_the_largest_of_use():
    assert sizes_up_to(192) == [96, 128, 160, 192] and sizes_up_to(32) == [96]
