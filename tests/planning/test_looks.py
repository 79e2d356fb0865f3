"""What a sample of the images shows."""
import numpy as np
import pytest

from mmdet_lordre.planning.card import Card
from mmdet_lordre.planning.fit import fit
from mmdet_lordre.planning.sample import Looks, look
from mmdet_lordre.planning.writing import config_text

from .data import objects, square


def test_forms():
    hole = (square(10, 10, 30, 5) + square(10, 35, 30, 5) + square(10, 15, 5, 20)
            + square(35, 15, 5, 20))
    two = square(60, 10, 10) + square(90, 10, 10)
    bar, under = square(10, 60, 100, 10), square(10, 71, 9)
    data = objects([[(hole, 0), (two, 0), (bar, 0), (under, 0)]])
    looks = look(data, with_pixels=False)
    assert looks.objects == 4
    assert (looks.holes, looks.parts, looks.elongated) == (0.25, 0.25, 0.25)
    assert looks.touching == 0.5 and looks.overlap == 0


def test_overlap():
    data = objects([[(square(10, 10, 20), 0), (square(20, 10, 20), 0), (square(80, 80, 9), 0)]])
    looks = look(data, with_pixels=False)
    assert looks.overlap == looks.touching == pytest.approx(2 / 3)


def test_huge_images_are_looked_at_coarsely():
    near = [(square(100, 100, 2000), 0), (square(2102, 100, 2000), 0)]
    looks = look(objects([near], size=(9000, 9000)), with_pixels=False)
    assert looks.touching == 1 and looks.overlap == 0


def test_what_stands_upright_is_not_turned_over():
    wedge = [[20, 60, 40, 20, 60, 60]]
    moved = [(np.add(wedge, [[i % 30, i % 20] * 3]).tolist(), 0) for i in range(24)]
    looks = look(objects([moved]), with_pixels=False)
    assert looks.upright and not looks.sided
    assert fit(objects([moved]), looks, 'solov2').flips == ('horizontal',)
    assert fit(objects([moved]), Looks(), 'solov2').flips == (
        'horizontal', 'vertical', 'diagonal')


def test_what_stands_or_lies_is_not_turned_by_90_degrees():
    box = [10, 10, 40, 10, 40, 30, 10, 30]  # 30 x 20 px
    corner = [10, 10, 40, 10, 40, 20, 20, 20, 20, 40, 10, 40]  # its own transpose
    for outline, standing in ((box, True), (corner, False)):
        found = look(objects([[([outline], 0)] * 24]), with_pixels=False)
        assert found.standing == standing
    # a class that is another one laid on its side
    tall, wide = [[20, 20, 40, 20, 40, 60, 20, 60]], [[20, 20, 60, 20, 60, 40, 20, 40]]
    data = objects([[(tall, 0), (wide, 1)] * 24], ('tall', 'wide'))
    assert look(data, with_pixels=False).standing


def test_turning_is_worth_its_padding_where_pictures_are_square_or_few():
    for count, size, looks, expected in (
            (150, (60, 60), Looks(), True), (150, (60, 80), Looks(), False),
            (20, (60, 80), Looks(), True), (20, (60, 60), Looks(standing=True), False),
            (20, (60, 60), Looks(upright=True), False),
            (20, (60, 60), Looks(sided=True), False)):
        data = objects([[(square(5, 5, 20), 0)]] * count, size=size)
        one = fit(data, looks, 'lordre')
        text = config_text(one, ('a.json', 'a'), None)
        assert one.transposed == expected == ("type='RandomTranspose'" in text)


def test_few_objects_of_many_classes_are_not_upright_by_chance():
    """Corners in any direction, 24 of each of 80 classes: one that says otherwise is found."""
    rng = np.random.default_rng(0)
    corner = np.array([[-9, -9], [9, -9], [9, 0], [0, 0], [0, 9], [-9, 9]], float)
    names = tuple(f'class {i}' for i in range(80))
    images = []
    for turn in rng.uniform(0, 2 * np.pi, 24 * 80 // 16).tolist():
        angles = turn + rng.uniform(0, 2 * np.pi, 16)
        turned = [corner @ [[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] for a in angles]
        images.append([((points + 14 + 24 * np.array(divmod(i, 4))).reshape(1, -1).tolist(),
                        (16 * len(images) + i) % 80) for i, points in enumerate(turned)])
    found = look(objects(images, names), 200, 9999, with_pixels=False)
    assert not found.upright and not found.sided and not found.standing
    wedge = [[20, 60, 40, 20, 60, 60]]
    found = look(objects([*images, *[[(wedge, 0)]] * 60], names), 200, 9999, with_pixels=False)
    assert found.upright


def test_classes_that_are_mirror_images_of_each_other():
    left, right = [[20, 20, 60, 20, 20, 60]], [[20, 20, 60, 20, 60, 60]]
    data = objects([[(left, 0), (right, 1)] * 24], ('left', 'right'))
    assert look(data, with_pixels=False).sided


def test_one_wedge_of_each_of_many_classes_stands_upright():
    """No class is seen often enough: what most objects do counts."""
    names = tuple(f'class {i}' for i in range(300))
    wedge = [[20, 60, 40, 20, 60, 60]]
    looks = look(objects([[(wedge, i)] for i in range(300)], names), with_pixels=False)
    assert looks.enough and looks.upright and not looks.sided


def test_of_too_few_objects_nothing_is_concluded():
    corner = [[10, 10, 40, 10, 40, 20, 20, 20, 20, 40, 10, 40]]
    for count, flips in ((19, ('horizontal',)), (20, ())):
        data = objects([[(corner, 0)]] * count)
        looks = look(data, with_pixels=False)
        one = fit(data, looks, 'solov2')
        assert looks.enough == (count == 20) and one.flips == flips and not one.transposed
        assert ('too few objects to tell' in Card(data, looks).text()) == (count == 19)
