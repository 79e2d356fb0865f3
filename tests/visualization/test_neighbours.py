"""The picture of gathered neighbours, from a real head's results."""
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_lordre.masks import encode_masks
from mmdet_lordre.visualization import PICTURE_MODES

SIZE = (40, 60)


def sample(count=2, neighbours=5, rle=False):
    masks = torch.zeros(count, *SIZE, dtype=torch.bool)
    masks[0, 10:30, 20:50] = True
    maps = torch.randn(count, neighbours, 16, 16)
    found = InstanceData(
        scores=torch.tensor([.9, .4])[:count], labels=torch.tensor([1, 0])[:count],
        masks=encode_masks(masks) if rle else masks, neighbour_maps=maps,
        neighbour_cells=torch.arange(count * neighbours * 2).view(count, neighbours, 2))
    return DetDataSample(metainfo=dict(img_shape=SIZE, batch_input_shape=(64, 64)),
                         pred_instances=found)


@pytest.mark.parametrize('neighbours', [0, 1, 4, 5, 9])
@pytest.mark.parametrize('rle', [False, True])
def test_a_tile_for_the_result_each_neighbour_and_the_mask(neighbours, rle):
    mode = PICTURE_MODES['neighbours']
    image = np.full((*SIZE, 3), 90, np.uint8)
    picture = mode.draw(image, sample(neighbours=neighbours, rle=rle), ('a', 'b'), None)
    tiles = neighbours + 2
    rows, columns = -(-tiles // 4), min(tiles, 4)
    assert picture.dtype == np.uint8
    # small images are enlarged six times; four pixels between tiles
    assert picture.shape == (rows * 244 - 4, columns * 364 - 4, 3)


def test_only_the_best_instance_counts():
    mode = PICTURE_MODES['neighbours']
    image = np.full((*SIZE, 3), 90, np.uint8)
    one = sample()
    picture = mode.draw(image, one, ('a', 'b'), None)
    one.pred_instances.neighbour_maps[1] += 5 * torch.randn(5, 16, 16)
    assert (mode.draw(image, one, ('a', 'b'), None) == picture).all()
    one.pred_instances.neighbour_maps[0, 3] = torch.randn(16, 16)
    assert (mode.draw(image, one, ('a', 'b'), None) != picture).any()


def test_the_head_gives_what_it_needs():
    mode = PICTURE_MODES['neighbours']
    assert mode.needs == 'neighbour_maps' and mode.test_cfg == dict(neighbour_maps=True)
