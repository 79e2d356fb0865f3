"""Outlines, pictures and annotations of the shapes data set."""
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from mmdet_lordre.datasets.shapes import CLASSES, PALETTE, make_scene
from mmdet_lordre.datasets.shapes.annotate import annotations, segmentation
from mmdet_lordre.datasets.shapes.outlines import random_outline
from mmdet_lordre.datasets.shapes.scene import (
    LARGEST,
    LEAST_PIXELS,
    MOST_INSTANCES,
    _Canvas,
    _coverage,
)

SIZE = 96


@pytest.fixture(scope='module')
def scenes():
    return [make_scene(SIZE, 3, 0, i) for i in range(400)]


def decode(found, shape):
    """What pycocotools makes of a segmentation, as a uint8 mask."""
    if isinstance(found, list):
        found = mask_api.merge(mask_api.frPyObjects(found, *shape))
    return mask_api.decode(found)


def drawn(*rows):
    return np.array([[c == '#' for c in row] for row in rows], np.uint8)


def test_a_rectangle_is_four_corners_on_pixel_edges():
    mask = np.zeros((6, 8), np.uint8)
    mask[1:4, 2:7] = 1
    (polygon,) = segmentation(mask)
    assert {tuple(p) for p in np.reshape(polygon, (-1, 2)).tolist()} == {
        (2, 1), (7, 1), (7, 4), (2, 4)}
    assert len(polygon) == 8


@pytest.mark.parametrize('mask, polygons', [
    (drawn('#'), 1),
    (drawn('....', '.#..', '....'), 1),
    (drawn('#...', '#...', '##..'), 1),
    (drawn('##..##', '##..##'), 2),
    (drawn('#####', '#.#.#'), 1),
    (drawn('###', '#.#', '###'), None),
    (drawn('#####', '#...#', '#.#.#', '#...#', '#####'), None),
    (np.ones((5, 7), np.uint8), 1),
])
def test_segmentation_by_hand(mask, polygons):
    found = segmentation(mask)
    assert isinstance(found, list) == (polygons is not None)
    if polygons is not None:
        assert len(found) == polygons
    assert np.array_equal(decode(found, mask.shape), mask)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12),
       st.floats(0.05, 0.95))
def test_any_mask_comes_back(seed, height, width, part):
    mask = (np.random.default_rng(seed).random((height, width)) < part).astype(np.uint8)
    mask[height // 2, width // 2] = 1
    assert np.array_equal(decode(segmentation(mask), mask.shape), mask)


@pytest.mark.parametrize('name', CLASSES)
def test_outline_has_its_extent_and_its_area(name):
    for seed in range(20):
        contours = random_outline(name, 40.0, np.random.default_rng(seed))
        points = np.concatenate(contours)
        assert np.allclose(points.min(0), 0)
        assert np.isclose(np.ptp(points, axis=0).max(), 40)
        areas = [abs(cv2.contourArea(c.astype(np.float32))) for c in contours]
        area = areas[0] - sum(areas[1:])
        cover = _coverage(contours)
        assert abs(cover.sum() - area) < 0.03 * area + 2
        assert abs((cover >= 0.5).sum() - area) < 0.05 * area + 6
        margin = np.concatenate([cover[0], cover[:, 0]])
        assert (margin < 0.5).all()


def form(name, seed):
    """Solidity, share of the enclosing box and roundness: what tells the classes apart."""
    contours = random_outline(name, 60.0, np.random.default_rng(seed))
    outer = contours[0].astype(np.float32)
    area = abs(cv2.contourArea(outer))
    (_, (w, h), _) = cv2.minAreaRect(outer)
    return dict(contours=len(contours), solid=area / cv2.contourArea(cv2.convexHull(outer)),
                box=area / (w * h), aspect=max(w, h) / min(w, h))


def test_the_form_is_the_class():
    for seed in range(20):
        forms = {name: form(name, seed) for name in CLASSES}
        assert [n for n, f in forms.items() if f['contours'] == 2] == ['ring']
        convex = {n for n, f in forms.items() if f['solid'] > 0.97}
        assert convex == {'disc', 'ring', 'triangle', 'square', 'bar'}
        assert [n for n in convex if forms[n]['aspect'] > 2] == ['bar']
        assert forms['triangle']['box'] < 0.6 < forms['disc']['box'] < 0.85
        assert forms['square']['box'] > 0.75


def test_same_seed_same_picture():
    first, again = make_scene(SIZE, 5, 1, 7), make_scene(SIZE, 5, 1, 7)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.owner, again.owner)
    assert (first.labels, first.crowd) == (again.labels, again.crowd)
    for other in ((6, 1, 7), (5, 0, 7), (5, 1, 8)):
        assert not np.array_equal(first.image, make_scene(SIZE, *other).image)


def test_annotations_are_the_visible_masks(scenes):
    for number, scene in enumerate(scenes):
        assert scene.image.shape == (SIZE, SIZE, 3) and scene.image.dtype == np.uint8
        found = annotations(scene, number, 11)
        assert [a['id'] for a in found] == list(range(11, 11 + len(scene.labels)))
        covered = np.zeros((SIZE, SIZE), int)
        for i, mark in enumerate(found):
            mask = scene.owner == i
            decoded = decode(mark['segmentation'], mask.shape)
            assert np.array_equal(decoded, mask)
            covered += decoded
            runs = mask_api.encode(np.asfortranarray(decoded))
            assert mark['area'] == mask_api.area(runs) >= LEAST_PIXELS
            assert mark['bbox'] == mask_api.toBbox(runs).tolist()
            assert mark['category_id'] == scene.labels[i] + 1
            assert mark['iscrowd'] == scene.crowd[i]
            if mark['iscrowd']:
                assert isinstance(mark['segmentation'], dict)
        assert covered.max() <= 1
        assert np.array_equal(covered == 0, scene.owner < 0)


def test_everything_promised_is_in_it(scenes):
    plain = [len(s.labels) - sum(s.crowd) for s in scenes]
    assert min(plain) == 0 and max(plain) == MOST_INSTANCES
    assert 1 <= sum(n == 0 for n in plain) <= 0.08 * len(scenes)
    assert 5 <= sum(any(s.crowd) for s in scenes) <= 0.12 * len(scenes)

    marks = [a for s in scenes for a in annotations(s, 1, 1) if not a['iscrowd']]
    holes = [a for a in marks if isinstance(a['segmentation'], dict)]
    assert any(a['category_id'] - 1 == CLASSES.index('ring') for a in holes)
    assert any(a['category_id'] - 1 != CLASSES.index('ring') for a in holes)
    parts = [a for a in marks if isinstance(a['segmentation'], list) and len(a['segmentation']) > 1]
    assert len(parts) > 0.01 * len(marks)

    extents = np.array([max(a['bbox'][2:]) for a in marks]) / SIZE
    assert extents.max() <= LARGEST + 2 / SIZE
    assert (extents < 0.1).mean() > 0.03 and (extents > 0.4).mean() > 0.08


def test_classes_are_balanced_and_color_says_nothing(scenes):
    labels = np.concatenate([s.labels for s in scenes]).astype(int)
    counts = np.bincount(labels, minlength=len(CLASSES))
    assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()

    colors = np.array([s.image[s.owner == i].mean(0) for s in scenes
                        for i in range(len(s.labels))])
    for label in range(len(CLASSES)):
        own = colors[labels == label]
        error = colors.std(0) / np.sqrt(len(own))
        assert (abs(own.mean(0) - colors.mean(0)) < 4.5 * error).all()


def test_the_later_covers_the_earlier_but_never_hides_it():
    canvas = _Canvas(64, np.random.default_rng(0))
    square = np.ones((20, 20), np.float32)
    below = canvas._clip(square, 10, 10)
    assert canvas._fits(below, 400)
    canvas._mark(below, 0)
    canvas._note(0, False, 400)
    assert not canvas._fits(canvas._clip(square, 12, 10), 400)  # leaves 10 % of it
    above = canvas._clip(square, 20, 10)  # leaves half of it
    assert canvas._fits(above, 400)
    canvas._mark(above, 1)
    assert (canvas.owner == 0).sum() == 200 and (canvas.owner == 1).sum() == 400
    assert (canvas.owner[10:30, 20:40] == 1).all()


def test_a_shape_mostly_outside_is_not_placed():
    canvas = _Canvas(64, np.random.default_rng(0))
    square = np.ones((20, 20), np.float32)
    assert canvas._clip(square, 64, 0) is None
    assert not canvas._fits(canvas._clip(square, 60, 0), 400)
    assert canvas._fits(canvas._clip(square, 50, 0), 400)


def test_palette_has_a_color_for_each_class():
    assert len(set(PALETTE)) == len(CLASSES) == 8
