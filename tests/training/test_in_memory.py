"""What the first steps of a pipeline make is kept, and comes out as it would without that."""
import pickle

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmengine.registry import init_default_scope

from mmdet_lordre.training import KeepInMemory

OUTLINE = [10., 4., 30., 4., 30., 22., 10., 22.]
STEPS = [dict(type='LoadImageFromFile'),
         dict(type='LoadLazyAnnotations', with_bbox=True, with_mask=True),
         dict(type='Resize', scale=(24, 24), keep_ratio=True)]
BITMAPS = [STEPS[0], dict(type='LoadAnnotations', with_bbox=True, with_mask=True), STEPS[2]]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet')


@pytest.fixture
def paths(tmp_path):
    found = []
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 255, (32, 48, 3)).astype(np.uint8)
        found.append(str(tmp_path / f'{number}.png'))
        cv2.imwrite(found[-1], image)
    return found


def of(path):
    """What a data set gives to its pipeline."""
    return dict(img_path=path, img_id=path, height=32, width=48, instances=[
        dict(bbox=[10, 4, 30, 22], bbox_label=1, ignore_flag=0, mask=[OUTLINE])])


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    np.testing.assert_array_equal(found['img'], wanted['img'])
    np.testing.assert_array_equal(found['gt_masks'].masks, wanted['gt_masks'].masks)
    np.testing.assert_array_equal(found['gt_bboxes'].tensor, wanted['gt_bboxes'].tensor)
    for key in ('img_shape', 'ori_shape', 'scale_factor', 'img_path', 'img_id'):
        assert found[key] == wanted[key]


@pytest.mark.parametrize('steps', [STEPS, BITMAPS], ids=['lazy', 'bitmaps'])
def test_the_same_each_time_whatever_is_done_to_it(paths, steps):
    kept, plain = KeepInMemory(steps), Compose(steps)
    flip = TRANSFORMS.build(dict(type='RandomFlip', prob=1.))
    for _ in range(3):
        for path in paths:
            found = kept(of(path))
            assert_same(found, plain(of(path)))
            found['img'][:] = 0
            found['gt_masks'].masks[:] = 1
            flip(found)  # moves boxes in place


def test_files_are_read_once(paths, tmp_path):
    kept = KeepInMemory(STEPS)
    first = kept(of(paths[0]))
    (tmp_path / '0.png').unlink()
    assert_same(kept(of(paths[0])), first)
    # another process reads for itself
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickle.dumps(kept))(of(paths[0]))


def test_shared_pictures_are_not_copied_and_not_changed(paths):
    shared, plain = KeepInMemory(STEPS, shared=True), Compose(STEPS)
    found = [shared(of(paths[0])) for _ in range(2)]
    assert np.shares_memory(found[0]['img'], found[1]['img'])
    with pytest.raises(ValueError, match='read-only'):
        found[0]['img'][:] = 0
    TRANSFORMS.build(dict(type='RandomFlip', prob=1.))(found[0])  # boxes are moved in place
    assert_same(found[1], plain(of(paths[0])))
    assert_same(shared(of(paths[0])), found[1])


def test_an_outline_is_drawn_for_those_who_ask_and_forgotten(paths):
    kept = KeepInMemory(STEPS)
    for _ in range(2):
        kept(of(paths[0]))['gt_masks'].central_sums(4, (4, 6))
    (values, ) = kept._kept.values()
    assert values['gt_masks']._drawings == [None]


def test_the_memory_is_bounded(paths, tmp_path):
    # picture, outline, rows and columns, box, label, flag, matrix; the rest is a few numbers
    size = 16 * 24 * 3 + 8 * len(OUTLINE) + 8 * (16 + 24) + 16 + 8 + 1 + 9 * 4
    kept = KeepInMemory(STEPS, gib=2.5 * size / 2**30)
    for path in paths:
        kept(of(path))
    assert len(kept._kept) == 2
    (tmp_path / '2.png').unlink()
    with pytest.raises(FileNotFoundError):
        kept(of(paths[2]))
    assert KeepInMemory(STEPS, gib=0)(of(paths[0]))['img'].shape == (16, 24, 3)


@pytest.mark.parametrize('counts', ['x' * 9000, [1] * 1536], ids=['compressed', 'runs'])
def test_run_lengths_take_memory(paths, counts):
    kept = KeepInMemory(STEPS, gib=16_000 / 2**30)
    for path in paths:
        image = of(path)
        image['instances'][0]['mask'] = dict(size=[32, 48], counts=counts)
        kept(image)
    assert len(kept._kept) == 1


def test_boxes_take_memory(paths):
    kept = KeepInMemory([STEPS[0], dict(type='LoadAnnotations', with_bbox=True)],
                        gib=16_000 / 2**30)  # the picture has 4,608 bytes
    image = of(paths[0])
    image['instances'] *= 1000
    kept(image)
    assert not kept._kept


def test_an_image_that_is_left_out_stays_so(paths):
    kept = KeepInMemory([*STEPS, dict(type='FilterAnnotations', min_gt_bbox_wh=(1000, 1000))])
    assert [kept(of(paths[0])) for _ in range(2)] == [None, None]


@pytest.mark.parametrize('step', [
    dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion'),
    dict(type='RandomResize', scale=(24, 24), ratio_range=(0.5, 2.)),
    dict(type='RandomChoice', transforms=[[dict(type='RandomFlip', prob=0.5)]]),
    dict(type='RandomTranspose')], ids=lambda step: step['type'])
def test_what_draws_by_chance_is_refused(step):
    with pytest.raises(ValueError, match=f'{step["type"]} draws by chance'):
        KeepInMemory([*STEPS, step])


def test_no_memory_less_than_none():
    with pytest.raises(ValueError, match='gib=-1 is negative'):
        KeepInMemory(STEPS, gib=-1)
