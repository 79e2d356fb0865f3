"""Pictures of masks, labels and maps."""
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from mmdet_lordre.masks import encode_masks
from mmdet_lordre.visualization import MaskVisualizer, class_palette, draw_results
from mmdet_lordre.visualization.basic_modes import to_image
from mmdet_lordre.visualization.drawing import draw_masks, grid_of, heat_map
from mmdet_lordre.visualization.labels import draw_labels


def instances(masks, **extra):
    count = len(masks)
    return InstanceData(masks=masks, labels=torch.arange(count) % 2,
                        scores=torch.full((count,), 0.9), **extra)


@pytest.fixture
def masks():
    out = torch.zeros(2, 400, 400, dtype=torch.bool)
    out[0, 100:200, 100:200] = True
    out[1, 250:300, 250:350] = True
    return out


def test_a_mask_colors_its_pixels_and_no_other(masks):
    image = np.full((400, 400, 3), 100, np.uint8)
    picture = draw_masks(image, masks.numpy(), [(200, 0, 0), (0, 200, 0)], alpha=0.5)
    assert (picture[150, 150] == (150, 50, 50)).all()
    assert (picture[275, 300] == (50, 150, 50)).all()
    outside = ~masks.any(dim=0).numpy()
    outside[97:203, 97:203] = outside[247:303, 247:353] = False  # outlines
    assert (picture[outside] == 100).all()
    assert (image == 100).all()  # the image itself is left alone


def test_small_masks_are_on_top():
    both = np.zeros((2, 50, 50), bool)
    both[0, 20:30, 20:30] = True
    both[1, 5:45, 5:45] = True
    picture = draw_masks(np.zeros((50, 50, 3), np.uint8), both, [(255, 0, 0), (0, 255, 0)],
                         alpha=1.0)
    assert (picture[25, 25] == (255, 0, 0)).all()


@pytest.mark.parametrize('form', [
    lambda masks: masks.numpy(), encode_masks,
    lambda masks: BitmapMasks(masks.numpy().astype(np.uint8), 400, 400)],
    ids=['array', 'RLEMasks', 'BitmapMasks'])
def test_forms_of_masks(masks, form):
    image = np.full((400, 400, 3), 90, np.uint8)
    expected = draw_results(image, instances(masks), ('a', 'b'), [(9, 9, 200), (200, 9, 9)])
    found = draw_results(image, instances(form(masks)), ('a', 'b'), [(9, 9, 200), (200, 9, 9)])
    assert np.array_equal(expected, found)
    assert (expected != image).any()


def test_small_images_are_enlarged():
    picture = draw_results(np.zeros((50, 70, 3), np.uint8),
                           instances(torch.ones(1, 50, 70, dtype=torch.bool)), ('a', 'b'))
    assert picture.shape == (300, 420, 3)
    assert draw_results(np.zeros((400, 500, 3), np.uint8), instances(
        torch.ones(1, 400, 500, dtype=torch.bool)), ('a', 'b')).shape == (400, 500, 3)


def test_degenerate_results():
    image = np.zeros((400, 400, 3), np.uint8)
    none = instances(torch.zeros(0, 400, 400, dtype=torch.bool))
    assert (draw_results(image, none) == 0).all()
    empty = instances(torch.zeros(2, 400, 400, dtype=torch.bool))
    assert (draw_results(image, empty) == 0).all()
    one = torch.zeros(1, 400, 400, dtype=torch.bool)
    one[0, 399, 399] = True
    assert (draw_results(image, instances(one)) > 0).any()
    boxes = InstanceData(labels=torch.tensor([0]), bboxes=torch.tensor([[10.0, 10, 50, 50]]))
    assert (draw_results(image, boxes)[10, 30] > 0).any()


def test_labels_stay_inside_and_apart():
    image = np.full((100, 200, 3), 255, np.uint8)
    red, blue = (255, 0, 0), (0, 0, 255)
    picture = draw_labels(image, ['far away', 'same place'], [(190, -50), (190, -50)],
                          [red, blue])
    reds, blues = ((picture == c).all(axis=2) for c in (red, blue))
    assert reds.sum() > 100 and blues.sum() > 100
    assert np.flatnonzero(reds.any(axis=1)).max() < np.flatnonzero(blues.any(axis=1)).min() + 2


def test_heat_map_and_sheet():
    image = np.full((40, 60, 3), 100, np.uint8)
    heat = np.zeros((4, 6))
    heat[1, 1] = 1.0
    heat[3, 5] = np.nan
    picture = heat_map(image, heat)
    assert picture.shape == image.shape
    assert picture[15, 15].mean() > picture[15, 50].mean() + 50
    sheet = grid_of([picture] * 5, columns=4, gap=2)
    assert sheet.shape == (82, 246, 3) and (sheet[42:, 62:] == 255).all()


def test_maps_are_laid_over_the_image():
    """The padding of the network input is cut away before the map is stretched."""
    sample = DetDataSample(metainfo=dict(img_shape=(32, 48), batch_input_shape=(64, 64)))
    maps = torch.zeros(1, 16, 16)  # stride 4
    maps[0, :8, 6:12] = 1.0  # the right half of the 32x48 image
    over = to_image(maps, sample, (320, 480))
    assert over.shape == (1, 320, 480)
    assert over[0, :280, 280:460].min() > 0.9 and over[0, :, :200].max() < 0.1
    assert to_image(torch.zeros(0, 16, 16), sample, (320, 480)).shape == (0, 320, 480)


def test_colors_can_be_told_apart():
    palette = class_palette(80)
    assert len(set(palette)) == 80
    assert palette[:8] == class_palette(8)
    first = np.array(class_palette(8), float)
    distance = np.linalg.norm(first[:, None] - first[None], axis=2)
    assert distance[~np.eye(8, dtype=bool)].min() > 60


def test_the_visualizer_of_a_run(masks, tmp_path):
    """By mmdet's own interface; the ground truth stands beside the prediction."""
    visualizer = MaskVisualizer()
    visualizer.dataset_meta = dict(classes=('a', 'b'), palette=class_palette(2))
    sample = DetDataSample(pred_instances=instances(encode_masks(masks)))
    image = np.full((400, 400, 3), 90, np.uint8)
    visualizer.add_datasample('x', image, sample, out_file=str(tmp_path / 'x.png'))
    height = visualizer.get_image().shape[0]  # with a row of names
    assert 400 < height < 440 and visualizer.get_image().shape == (height, 400, 3)
    assert (tmp_path / 'x.png').stat().st_size > 0
    sample.gt_instances = InstanceData(
        labels=torch.tensor([0]), masks=BitmapMasks(masks[:1].numpy().astype(np.uint8), 400, 400))
    visualizer.add_datasample('x', image, sample)
    assert visualizer.get_image().shape == (height, 800, 3)
    sample.gt_instances = InstanceData()  # a pipeline that loads no annotations
    visualizer.add_datasample('x', image, sample)
    assert visualizer.get_image().shape == (height, 400, 3)
