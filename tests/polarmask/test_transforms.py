import json

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmdet.visualization import DetLocalVisualizer
from mmengine.dataset import pseudo_collate
from PIL import Image

from mmdet_lordre.polarmask import ExtractContours, FilterTinyInstances, InstanceContours

SQUARE = [20, 10, 60, 10, 60, 40, 20, 40]


def annotation(polygons, box, **more):
    return dict(category_id=1, iscrowd=0, segmentation=polygons, bbox=box,
                area=box[2] * box[3], **more)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Images of 80x64: a square in two parts, a crowd and a speck; a speck alone."""
    folder = tmp_path_factory.mktemp('polar')
    crowd = dict(category_id=1, iscrowd=1, bbox=[0, 0, 30, 30], area=900, segmentation=dict(
        size=[64, 80], counts=[0, 30 * 64, 50 * 64]))
    annotations = [
        dict(crowd, id=1, image_id=0),
        annotation([SQUARE, [70, 50, 76, 50, 76, 56, 70, 56]], [20, 10, 56, 46], id=2,
                   image_id=0),
        annotation([[5, 50, 8, 50, 8, 53, 5, 53]], [5, 50, 3, 3], id=3, image_id=0),
        annotation([[5, 50, 8, 50, 8, 53, 5, 53]], [5, 50, 3, 3], id=4, image_id=1)]
    images = []
    for i in range(2):
        Image.new('RGB', (80, 64), (90, 120, 60)).save(folder / f'{i}.png')
        images.append(dict(id=i, file_name=f'{i}.png', width=80, height=64))
    (folder / 'annotations.json').write_text(json.dumps(dict(
        images=images, annotations=annotations, categories=[dict(id=1, name='thing')])))
    return folder


def dataset_of(folder, *, poly2mask=True, flip=0.0, skip_empty=True, **kwargs):
    register_all_modules()
    return DATASETS.build(dict(
        type='CocoDataset', data_root=str(folder), ann_file='annotations.json',
        data_prefix=dict(img=''), metainfo=dict(classes=('thing',)), **kwargs, pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=poly2mask),
            dict(type='FilterTinyInstances', skip_empty=skip_empty),
            dict(type='Resize', scale=(160, 96), keep_ratio=False),
            dict(type='RandomFlip', prob=flip),
            dict(type='ExtractContours'),
            dict(type='PackDetInputs')]))


@pytest.mark.parametrize('poly2mask', [True, False])
@pytest.mark.parametrize('flip', [0.0, 1.0])
def test_the_pipeline_gives_contours_of_what_is_trained(folder, poly2mask, flip):
    sample = dataset_of(folder, poly2mask=poly2mask, flip=flip)[0]['data_samples']
    contours = sample.gt_instances.masks
    assert isinstance(contours, InstanceContours)
    # the crowd is set apart and the speck left out; the aspect ratio changed
    assert len(contours) == len(sample.gt_instances.bboxes) == 1
    assert len(sample.ignored_instances.masks) == 1
    assert (contours.height, contours.width) == (96, 160) == sample.img_shape
    # the larger part alone: 20..60 x 10..40 doubled in x and 1.5 times in y
    low, high = contours.points.amin(0).tolist(), contours.points.amax(0).tolist()
    left, right = (160 - 120, 160 - 40) if flip else (40, 120)
    assert np.allclose(low, (left, 15), atol=2) and np.allclose(high, (right - 1, 59), atol=2)
    assert np.allclose(contours.centroids[0], ((left + right) / 2, 37), atol=2)


def test_an_image_without_a_trainable_instance_is_skipped(folder):
    dataset = dataset_of(folder)
    assert dataset.pipeline(dataset.get_data_info(1)) is None
    kept = dataset_of(folder, skip_empty=False)[1]['data_samples'].gt_instances
    assert len(kept.masks) == len(kept.labels) == 0


def test_workers_hand_over_contours(folder):
    dataset = dataset_of(folder, indices=[0])
    loader = torch.utils.data.DataLoader(dataset, num_workers=1, collate_fn=pseudo_collate)
    batch = next(iter(loader))
    masks = batch['data_samples'][0].gt_instances.masks
    assert isinstance(masks, InstanceContours) and len(masks.points)


def test_the_visualizer_draws_a_training_sample(folder):
    packed = dataset_of(folder)[0]
    image = packed['inputs'].permute(1, 2, 0).numpy()
    truth = packed['data_samples'].gt_instances
    truth.bboxes = truth.bboxes.tensor  # as tools that browse data do
    visualizer = DetLocalVisualizer()
    visualizer.dataset_meta = dict(classes=('thing',), palette=[(200, 30, 30)])
    visualizer.add_datasample('sample', image, packed['data_samples'], draw_pred=False)
    assert (visualizer.get_image() != image).any()


def filtered(masks, boxes, **kwargs):
    results = dict(gt_masks=BitmapMasks(masks, 40, 40), gt_bboxes=HorizontalBoxes(boxes),
                   gt_bboxes_labels=np.arange(len(masks)),
                   gt_ignore_flags=np.zeros(len(masks), bool))
    return FilterTinyInstances(**kwargs)(results)


def test_what_counts_as_tiny():
    masks = np.zeros((4, 40, 40), np.uint8)
    masks[0, 0, :15] = 1       # 15 pixels
    masks[1, 0, :16] = 1       # 16 pixels, 16 wide
    masks[2, :9, :9] = 1       # under 10 both ways
    masks[3, :2, :10] = 1      # 10 wide
    boxes = torch.tensor([[0., 0, 15, 1], [0, 0, 16, 1], [0, 0, 9, 9], [0, 0, 10, 2]])
    assert filtered(masks, boxes)['gt_bboxes_labels'].tolist() == [1, 3]
    assert filtered(masks, boxes, max_area=0, min_side=0)['gt_bboxes_labels'].tolist() == [
        0, 1, 2, 3]
    assert len(filtered(masks, boxes, max_area=15)['gt_masks']) == 2


@pytest.mark.parametrize('transform', [ExtractContours, FilterTinyInstances])
def test_missing_masks_name_the_image_and_the_remedy(transform):
    with pytest.raises(KeyError, match=r'a\.jpg.*with_mask=True'):
        transform()(dict(img_path='a.jpg'))


def test_they_are_registered():
    assert repr(TRANSFORMS.build(dict(type='ExtractContours'))) == (
        'ExtractContours(holes=False)')
    assert 'max_area=15' in repr(TRANSFORMS.build(dict(type='FilterTinyInstances')))
