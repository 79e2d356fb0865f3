"""Labels where there is room, scores where there is little, names below otherwise."""
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_lordre.masks import encode_masks
from mmdet_lordre.visualization import PICTURE_MODES, draw_results
from mmdet_lordre.visualization.drawing import draw_masks, enlarge, instance_colors, line_width
from mmdet_lordre.visualization.labels import Label, add_legend, percent, place_labels
from mmdet_lordre.visualization.palette import class_palette


def grid(step, side, size=360):
    """Square objects in rows and columns."""
    masks = [np.zeros((size, size), np.uint8) for _ in range((size // step) ** 2)]
    for number, mask in enumerate(masks):
        y, x = number // (size // step) * step, number % (size // step) * step
        mask[y:y + side, x:x + side] = 1
    return np.array(masks)


def test_scores_beyond_1():
    """PolarMask's are a probability times up to 1.5."""
    assert [percent(score) for score in (0, 0.934, 1, torch.tensor(1.19))] == [
        '0', '93', '100', '100']
    rays = PICTURE_MODES['rays'].draw
    found = InstanceData(labels=torch.zeros(1, dtype=torch.long), scores=torch.tensor([1.]),
                         contours=torch.tensor([[[20., 30], [40, 30], [30, 50]]]),
                         centers=torch.tensor([[30., 40]]))
    drawn = [rays(np.zeros((90, 90, 3), np.uint8), DetDataSample(pred_instances=one), ('a',), None)
             for one in (found, InstanceData(**dict(found.items(), scores=found.scores * 1.4)))]
    np.testing.assert_array_equal(*drawn)


def draw(masks, **kwargs):
    count = len(masks)
    found = InstanceData(masks=encode_masks(masks), labels=torch.zeros(count, dtype=torch.long),
                         scores=torch.full((count,), 0.93))
    image = np.full((*masks.shape[1:], 3), 128, np.uint8)
    return draw_results(image, found, ('nucleus',), [(0, 120, 240)], **kwargs)


@pytest.mark.parametrize('step, side', [(120, 50), (60, 30), (24, 24)])
def test_labels_cover_no_object(step, side):
    masks = grid(step, side)
    with_legend, without = draw(masks), draw(masks, legend=False)
    # names below where they have no room, which changes nothing above
    assert np.array_equal(with_legend[:360], without)
    assert (with_legend.shape[0] > 360) == (step < 120)
    plain = draw_masks(np.full((360, 360, 3), 128, np.uint8), masks,
                       instance_colors([0] * len(masks), [(0, 120, 240)]))
    written = (without != plain).any(axis=2)
    assert written[masks.any(axis=0)].mean() < 0.02
    assert written.any() == (step > side)


def test_the_surest_have_their_labels_first():
    image = np.zeros((100, 200, 3), np.uint8)
    bitmap = np.ones((80, 80), np.uint8)
    labels = [Label('a name', '9', (255, 0, 0), 10, 10, bitmap),
              Label('a name that is far too long for any room there is', '8', (0, 255, 0), 10, 110,
                    bitmap)]
    assert not place_labels(image, labels)
    assert (image == (255, 0, 0)).all(axis=2).any() and (image == (0, 255, 0)).all(axis=2).any()
    assert place_labels(image, []) and place_labels(np.zeros((400, 400, 3), np.uint8), labels[:1])


def test_a_legend():
    image = np.zeros((50, 200, 3), np.uint8)
    picture = add_legend(image, [('cat', (255, 0, 0), 3), ('dog', (0, 255, 0), 1)])
    assert picture.shape[1:] == (200, 3) and picture.shape[0] > 50
    assert np.array_equal(picture[:50], image)
    for color in ((255, 0, 0), (0, 255, 0)):
        assert (picture[50:] == color).all(axis=2).sum() > 40
    many = add_legend(image, [(f'class {i}', (9, 9, 9), 1) for i in range(100)])
    assert many.shape[0] < 160  # a few rows, then how many more


def test_lines_and_sizes():
    assert line_width((300, 400)) == 1 and line_width((2000, 3000)) == 5
    assert line_width((2000, 3000), [13] * 400) == 1
    image = np.zeros((400, 400, 3), np.uint8)
    assert enlarge(image)[1] == 1 and enlarge(image, object_side=8)[1] == 3
    assert enlarge(image)[0] is not image
    assert enlarge(np.zeros((2000, 2000, 3), np.uint8), object_side=5)[1] == 1


def test_colors_of_many_stay_near_their_class():
    palette = class_palette(6)
    colors = np.array(instance_colors([0] * 300, palette), float)
    near = np.linalg.norm(colors - np.array(palette[0]), axis=1).max()
    assert near < 160 and len(np.unique(colors, axis=0)) >= 10
