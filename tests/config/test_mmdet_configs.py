"""mmdet's own configs of instance segmentation are right: nothing in them is refused."""
from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_lordre.config.checks import check_class_counts
from mmdet_lordre.config.classes import set_classes
from mmdet_lordre.config.keys import check_keys
from mmdet_lordre.config.reading import load_config, model_class_counts
from mmdet_lordre.config.values import check_values
from mmdet_lordre.errors import UserError

CONFIGS = Path(mmdet.__file__).parent / '.mim' / 'configs'
FAMILIES = ('boxinst', 'cascade_rcnn', 'condinst', 'detectors', 'detr', 'htc', 'instaboost',
            'mask2former', 'mask_rcnn', 'maskformer', 'ms_rcnn', 'panoptic_fpn', 'point_rend',
            'queryinst', 'rtmdet', 'scnet', 'solo', 'solov2', 'sparse_rcnn', 'vfnet', 'yolact')


@pytest.mark.parametrize('family', FAMILIES)
def test_nothing_is_refused(family):
    paths = [path for path in sorted((CONFIGS / family).glob('*.py'))
             if 'convnext' not in path.name]  # these import mmpretrain
    assert paths
    init_default_scope('mmdet')
    for path in paths:
        cfg = Config.fromfile(path)
        if cfg.get('model') is None:
            continue
        check_keys(cfg, path.name)
        check_values(cfg, path.name)
        check_class_counts(cfg)


def test_heads_that_tell_other_things_apart():
    """HTC's semantic head has 183 classes, an RPN one; the rest must agree with the data."""
    cfg = load_config('mmdet::htc/htc_r50_fpn_1x_coco.py')
    counts = model_class_counts(cfg)
    assert set(counts.values()) == {80} and not any('semantic' in key for key in counts)
    cfg.model.rpn_head.num_classes = 1
    set_classes(cfg, ('a', 'b'))
    assert set(model_class_counts(cfg).values()) == {2}
    assert cfg.model.rpn_head.num_classes == 1
    assert cfg.model.roi_head.semantic_head.num_classes == 183
    cfg.model.roi_head.mask_head[1].num_classes = 3
    with pytest.raises(UserError, match=r'roi_head\.mask_head\.1\.num_classes=3.* 2 classes'):
        check_class_counts(cfg)


def test_panoptic_data_have_two_counts():
    cfg = load_config('mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py')
    check_class_counts(cfg)
    cfg.model.roi_head.bbox_head.num_classes = 79
    with pytest.raises(UserError, match='num_classes=79'):
        check_class_counts(cfg)


def test_a_model_may_have_no_neck():
    """An argument that has no default may well be None."""
    cfg = load_config('mmdet::rpn/rpn_r50-caffe-c4_1x_coco.py')
    assert cfg.model.neck is None
    del cfg.model.neck
    with pytest.raises(UserError, match='model has no neck, which RPN needs'):
        check_keys(cfg, 'rpn.py')
