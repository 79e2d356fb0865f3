"""What a plain training says that cannot work."""
import pytest
from mmengine.config import Config

from mmdet_lordre.planning import warnings
from mmdet_lordre.planning.warnings import LINES, judging_warnings, warnings_of

from .data import coco, square, write
from .test_ceiling import TESTS, config, grid, lordre, places, polar, ring


def squares(count, side=12, step=20):
    return [(square(4 + step * (i % 6), 4 + step * (i // 6), side), 0) for i in range(count)]


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return write(tmp_path_factory.mktemp('warn'), coco([squares(30), squares(30), squares(2)]))


def given(cfg, path, **dataset):
    """A config that trains on a file."""
    cfg.train_dataloader = dict(dataset=dict(
        type='CocoDataset', ann_file=path, data_prefix=dict(img=path.rsplit('/', 1)[0]),
        metainfo=dict(classes=('thing',)), **dataset))
    return cfg


@pytest.mark.parametrize('cfg', [grid(), lordre(num_queries=40), polar(dict(max_per_img=100))],
                         ids=['solov2', 'lordre', 'polarmask'])
def test_nothing_is_said_where_nothing_is_lost(cfg, path):
    assert warnings_of(given(cfg, path)) == []


def test_what_training_is_judged_by(path, tmp_path):
    """By other images, by its own, by those of its own that it leaves out, by nothing."""
    cfg = given(grid(), path)
    assert judging_warnings(cfg) == []
    other = write(tmp_path / 'other', coco([squares(2)]))
    empty = coco([squares(2)])
    empty['annotations'][0]['iscrowd'] = empty['annotations'][1]['iscrowd'] = 1
    empty = write(tmp_path / 'empty', empty)

    def lines(ann_file, **dataset):
        cfg.val_dataloader = dict(dataset=dict(type='CocoDataset', ann_file=ann_file, **dataset))
        return judging_warnings(cfg)
    assert lines(other) == []
    assert lines(path) == [f'training and validation read the same annotations ({path}): the '
                           'figures say nothing about other images']
    assert lines(path, indices=[0]) == []
    assert lines(empty, indices=[0]) == []  # nobody has counted
    assert lines(empty) == [f'the validation annotations ({empty}) have no objects: nothing is '
                            'measured, and every AP is -1']


def test_too_few_queries(path):
    lines = warnings_of(given(lordre(num_queries=10), path))
    assert lines[0] == ('num_queries=10, but 67% of the images have more objects (up to 30): 65% '
                        'of all objects are never found')
    assert lines[-1].startswith('at most mask AP 0.3') and 'lordre plan' in lines[-1]
    assert len(lines) == 2


def test_images_without_objects_are_images(tmp_path):
    data = write(tmp_path, coco([squares(30), squares(2), *[[]] * 6]))
    line, *_ = warnings_of(given(lordre(num_queries=10), data))
    # one of eight; 20 of 32 objects
    assert line == ('num_queries=10, but 12% of the images have more objects (up to 30): 62% of '
                    'all objects are never found')


@pytest.mark.parametrize('cfg, said', [
    (grid(scale_ranges=((64, 512), (90, 512), (200, 512))), 'no level: see scale_ranges'),
    (grid(num_grids=(3, 2, 2)), 'num_grids'),
    (grid(strides=(40, 40, 40)), 'strides=(40, 40, 40) require, and'),
    (grid('AggMaskHead', min_mask_area=200), 'or pixels than min_mask_area=200, and are dropped'),
    (grid(tests=dict(TESTS, max_per_img=5)), 'model.test_cfg.max_per_img=5, but 67%'),
    (polar(regress_ranges=((60, 90), (90, 1e8))), 'no level: see regress_ranges')])
def test_each_loss_has_its_line(cfg, said, path):
    lines = warnings_of(given(cfg, path))
    assert any(said in line for line in lines) and len(lines) <= LINES


def test_holes_that_rays_fill(tmp_path):
    thin = write(tmp_path, coco([[(ring(32, 32, 64, 40), 0)]] * 4))
    lines = warnings_of(given(polar(), thin))
    assert any('let rays draw holes: holes=True of the head' in line for line in lines)


def test_few_places_are_no_matter_of_grids(tmp_path):
    halves = [(square(40, 40, 4, 8), 0), (square(44, 40, 4, 8), 0), (square(80, 80, 16), 0)]
    lines = warnings_of(given(places(8), write(tmp_path, coco([halves]))))
    assert 'because other objects nearby take them: see the image size' in lines[0]


def test_large_pictures_of_many_objects_are_not_drawn(path, monkeypatch):
    """Two of three pictures have 30 objects of 32 x 32 samples."""
    monkeypatch.setattr(warnings, '_SAMPLES', 4 * 1024)
    lines = warnings_of(given(grid(tests=dict(TESTS, max_per_img=5)), path))
    assert len(lines) == 2 and 'model.test_cfg.max_per_img=5, but 67%' in lines[0]
    assert lines[1] == 'lordre plan fits a config to such images'
    monkeypatch.setattr(warnings, '_SAMPLES', 1024)
    assert warnings_of(given(grid(tests=dict(TESTS, max_per_img=5)), path)) == lines


def test_masks_that_are_too_coarse(tmp_path):
    small = write(tmp_path, coco([squares(20, 5)]))
    assert any('too few samples' in line for line in warnings_of(given(lordre(8), small)))
    larger = write(tmp_path, coco([squares(20, 9)]))
    assert any('IoU of 0.75' in line for line in warnings_of(given(lordre(8), larger)))


def test_other_heads_hear_what_applies_to_them(path):
    model = dict(type='MaskRCNN', roi_head=dict(type='StandardRoIHead'),
                 test_cfg=dict(rpn=dict(max_per_img=1000), rcnn=dict(max_per_img=10)))
    line, = warnings_of(given(Config(dict(model=model)), path))
    assert line.startswith('model.test_cfg.rcnn.max_per_img=10')
    model['test_cfg'] = dict(rcnn=dict(max_per_img=100))
    assert warnings_of(given(Config(dict(model=model)), path)) == []


@pytest.mark.parametrize('model, key', [
    (dict(type='Mask2Former', panoptic_head=dict(num_queries=10), test_cfg=dict(max_per_image=100)),
     'panoptic_head.num_queries'),
    (dict(type='MaskFormer', test_cfg=dict(max_per_image=10), panoptic_head=dict(num_queries=10)),
     'test_cfg.max_per_image'),
    (dict(type='DETR', num_queries=10, test_cfg=dict(max_per_img=100)), 'num_queries'),
    (dict(type='QueryInst', rpn_head=dict(num_proposals=10)), 'rpn_head.num_proposals')])
def test_queries_of_other_heads(model, key, path):
    line, = warnings_of(given(Config(dict(model=model)), path))
    assert line.startswith(f'model.{key}=10, but 67% of the images have more objects')


def test_data_of_other_kinds_are_left_alone():
    cfg = config(dict(type='SOLOV2Head'), dict(), key='mask_head')
    assert warnings_of(cfg) == []
    cfg.train_dataloader = dict(dataset=dict(type='LVISV1Dataset', ann_file='http://x/y.json'))
    assert warnings_of(cfg) == []
