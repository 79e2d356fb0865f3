"""The picture of gathered neighbors, from a real head's results."""
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdet_lordre.masks import encode_masks
from mmdet_lordre.visualization import PICTURE_MODES

SIZE = (40, 60)


def sample(count=2, neighbors=5, rle=False):
    masks = torch.zeros(count, *SIZE, dtype=torch.bool)
    masks[0, 10:30, 20:50] = True
    maps = torch.randn(count, neighbors, 16, 16)
    found = InstanceData(
        scores=torch.tensor([.9, .4])[:count], labels=torch.tensor([1, 0])[:count],
        masks=encode_masks(masks) if rle else masks, neighbor_maps=maps,
        neighbor_cells=torch.arange(count * neighbors * 2).view(count, neighbors, 2))
    return DetDataSample(metainfo=dict(img_shape=SIZE, batch_input_shape=(64, 64)),
                         pred_instances=found)


@pytest.mark.parametrize('neighbors', [0, 1, 4, 5, 9])
@pytest.mark.parametrize('rle', [False, True])
def test_a_tile_for_the_result_each_neighbor_and_the_mask(neighbors, rle):
    mode = PICTURE_MODES['neighbors']
    image = np.full((*SIZE, 3), 90, np.uint8)
    picture = mode.draw(image, sample(neighbors=neighbors, rle=rle), ('a', 'b'), None)
    tiles = neighbors + 2
    rows, columns = -(-tiles // 4), min(tiles, 4)
    assert picture.dtype == np.uint8
    # small images are enlarged six times; four pixels between tiles
    assert picture.shape == (rows * 244 - 4, columns * 364 - 4, 3)


def test_only_the_best_instance_counts():
    mode = PICTURE_MODES['neighbors']
    image = np.full((*SIZE, 3), 90, np.uint8)
    one = sample()
    picture = mode.draw(image, one, ('a', 'b'), None)
    one.pred_instances.neighbor_maps[1] += 5 * torch.randn(5, 16, 16)
    assert (mode.draw(image, one, ('a', 'b'), None) == picture).all()
    one.pred_instances.neighbor_maps[0, 3] = torch.randn(16, 16)
    assert (mode.draw(image, one, ('a', 'b'), None) != picture).any()


def test_the_head_gives_what_it_needs():
    mode = PICTURE_MODES['neighbors']
    assert mode.needs == 'neighbor_maps' and mode.test_cfg == dict(neighbor_maps=True)
