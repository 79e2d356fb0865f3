"""One list of classes everywhere in a config; own data put in."""
import pytest
from mmdet.evaluation import CocoMetric
from mmengine.config import Config

from mmdet_lordre.config.classes import class_names_of, classes_in, set_classes
from mmdet_lordre.config.own_data import use_own_data
from mmdet_lordre.datasets.coco_file import find_images, read_annotations
from mmdet_lordre.errors import UserError

from ..cli.tiny import IDS, NAMES, make_coco, read_json, write_json


def dataset(**kwargs):
    return dict(type='CocoDataset', data_root='data/', ann_file='a.json',
                data_prefix=dict(img='i/'), **kwargs)


def config(train_dataset=None):
    return Config(dict(
        model=dict(
            type='CascadeRCNN',
            backbone=dict(type='ResNet', num_classes=1000),
            rpn_head=dict(type='RPNHead', num_classes=1, in_channels=8),
            roi_head=dict(type='CascadeRoIHead', bbox_head=[
                dict(type='Shared2FCBBoxHead', num_classes=80) for _ in range(3)],
                mask_head=dict(type='FCNMaskHead', num_classes=80)),
            mask_head=dict(type='LordreHead')),
        train_dataloader=dict(dataset=train_dataset or dataset()),
        val_dataloader=dict(dataset=dataset()), test_dataloader=dict(dataset=dataset()),
        val_evaluator=[dict(type='CocoMaskMetric', ann_file='data/a.json')],
        test_evaluator=dict(type='CocoMaskMetric', ann_file='data/a.json'),
        val_cfg=dict(), test_cfg=dict()))


def test_every_head_and_no_backbone():
    cfg = config()
    set_classes(cfg, ['a', 'b'])
    heads = cfg.model.roi_head
    assert [head.num_classes for head in [*heads.bbox_head, heads.mask_head]] == [2] * 4
    assert cfg.model.mask_head.num_classes == 2  # it takes one and relied on its default
    assert cfg.model.backbone.num_classes == 1000


@pytest.mark.parametrize('wrapped', [
    lambda one: dict(type='RepeatDataset', times=2, dataset=one()),
    lambda one: dict(type='ConcatDataset', datasets=[one(), one()]),
    lambda one: dict(type='MultiImageMixDataset', pipeline=[], dataset=dict(
        type='ClassBalancedDataset', oversample_thr=0.1, dataset=one()))])
def test_wrapped_data_sets(wrapped):
    cfg = config(wrapped(dataset))
    set_classes(cfg, ['a', 'b'], [(1, 2, 3), (4, 5, 6)])
    node = cfg.train_dataloader.dataset
    assert 'metainfo' not in node
    while 'dataset' in node:
        node = node.dataset
    for leaf in node.get('datasets', [node]):
        assert tuple(leaf.metainfo.classes) == ('a', 'b')
        assert [tuple(c) for c in leaf.metainfo.palette] == [(1, 2, 3), (4, 5, 6)]
    assert tuple(cfg.test_dataloader.dataset.metainfo.classes) == ('a', 'b')
    assert class_names_of(cfg) == ('a', 'b')


def test_class_names_of_a_data_set_type():
    assert class_names_of(config())[:2] == ('person', 'bicycle')


def test_own_data_is_everywhere(tmp_path):
    train = make_coco(tmp_path, 'train', 'train.json', count=8)
    val = make_coco(tmp_path, 'val', 'val.json', count=3, seed=1)
    cfg = config(dict(type='RepeatDataset', times=3, dataset=dict(
        type='ConcatDataset', datasets=[dataset(), dict(dataset(), type='LVISV1Dataset')])))
    assert use_own_data(cfg, train, val) == NAMES
    repeated = cfg.train_dataloader.dataset
    assert repeated.times == 3
    assert repeated.dataset.ann_file == train and repeated.dataset.type == 'CocoDataset'
    assert repeated.dataset.data_prefix.img == f'{tmp_path}/train'
    for split in ('val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.ann_file == val
        assert cfg[f'{split}_dataloader'].dataset.data_prefix.img == f'{tmp_path}/val'
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert [(metric.type, metric.ann_file) for metric in evaluator] == [
            ('CocoMaskMetric', val)]
    assert cfg.model.roi_head.mask_head.num_classes == len(NAMES)


def test_metrics_of_other_files_are_dropped(tmp_path):
    train = make_coco(tmp_path, count=3)
    cfg = config()
    cfg.val_evaluator.append(dict(type='LVISMaskMetric', lvis_file='lvis.json'))
    cfg.test_evaluator = dict(type='LVISMetric', ann_file='lvis.json', metric=['bbox', 'segm'])
    use_own_data(cfg, train, train)
    assert [metric.type for metric in cfg.val_evaluator] == ['CocoMaskMetric']
    assert cfg.test_evaluator == [dict(type='CocoMaskMetric', metric=['bbox', 'segm'],
                                       ann_file=train)]


@pytest.mark.parametrize('kind', ['mmdet.CocoMetric', CocoMetric, 'CocoMaskMetric'])
def test_metrics_keep_their_settings(tmp_path, kind):
    """Named with a scope, or by the class itself, too."""
    train = make_coco(tmp_path, count=3)
    cfg = config()
    cfg.val_evaluator = dict(type=kind, classwise=True, metric_items=['mAP'])
    use_own_data(cfg, train, train)
    assert cfg.val_evaluator == [dict(type=kind, classwise=True, metric_items=['mAP'],
                                      ann_file=train)]


def test_other_kinds_of_data_sets_become_coco(tmp_path):
    train = make_coco(tmp_path, count=3)
    cfg = config(dict(dataset(), type='LVISV1Dataset'))
    use_own_data(cfg, train)
    assert cfg.train_dataloader.dataset.type == 'CocoDataset'
    assert cfg.val_dataloader is None and cfg.val_evaluator is None and cfg.val_cfg is None


@pytest.mark.parametrize('ann, images', [
    ('a.json', '.'), ('a.json', 'images'), ('annotations/a.json', 'images'),
    ('annotations/instances_train2017.json', 'train2017'),
    ('annotations/train.json', 'images/train'), ('train/_annotations.json', 'train')])
def test_images_are_found_near(tmp_path, ann, images):
    (tmp_path / ann).parent.mkdir(parents=True, exist_ok=True)
    path = make_coco(tmp_path, images, ann, count=3)
    found = find_images(read_annotations(path), path)
    assert (tmp_path / images).samefile(found)


def test_validation_must_not_have_more_classes(tmp_path):
    train = make_coco(tmp_path, count=3)
    val = make_coco(tmp_path, 'other', 'val.json', count=3, names=(*NAMES, 'new'),
                    ids=(*IDS, 21))
    use_own_data(config(), train, val)  # listed, but nothing of it is annotated
    data = read_json(val)
    data['annotations'][0]['category_id'] = 21
    write_json(val, data)
    with pytest.raises(UserError, match="annotation 1 is of category 'new'"):
        use_own_data(config(), train, val)


@pytest.mark.parametrize('categories, said', [
    ([], 'empty'),
    ([dict(id=1, name='a'), dict(id=1, name='b')], 'twice: 1'),
    ([dict(id=1, name='a'), dict(id=2, name='a')], "twice: 'a'"),
    ([dict(id=1)], 'name of category 1 is missing')])
def test_categories_that_are_none(tmp_path, categories, said):
    path = make_coco(tmp_path, count=2)
    write_json(path, dict(read_json(path), categories=categories))
    with pytest.raises(UserError, match=said):
        use_own_data(config(), path)


def test_classes_of_a_checkpoint():
    palette = [(1, 2, 3), (4, 5, 6)]
    said = classes_in(dict(meta=dict(dataset_meta=dict(CLASSES=('a', 'b'), palette=palette))), 'x')
    assert said == (('a', 'b'), palette)
    cfg = config()
    set_classes(cfg, *said)
    assert cfg.model.mask_head.num_classes == 2
    assert list(cfg.test_dataloader.dataset.metainfo.palette[1]) == [4, 5, 6]
    assert classes_in(dict(meta=dict(CLASSES=['a'])), 'x') == (('a',), None)  # mmdet 2
    assert classes_in(dict(state_dict={}), 'x') == (None, None)
    with pytest.raises(UserError, match='x: its list of classes is damaged'):
        classes_in(dict(meta=dict(dataset_meta=dict(classes=[1, 2]))), 'x')
