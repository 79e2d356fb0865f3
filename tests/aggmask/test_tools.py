"""AggMask through the tools: two evaluations from one pass, the upload file, the pictures."""
import cv2
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_lordre.cli.demo import main as demo
from mmdet_lordre.cli.test import main as run_test
from tests.cli.tiny import (
    HEIGHT,
    IDS,
    NAMES,
    ROOT,
    WIDTH,
    make_coco,
    read_json,
    write_config,
    write_json,
)

HEAD = '''
model = dict(
    _delete_=True,
    type='SingleStageInstanceSegmentor',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3,
                           bgr_to_rgb=True, pad_mask=False, pad_size_divisor=32),
    backbone=dict(type='ResNet', depth=18, num_stages=3, strides=(1, 2, 2),
                  dilations=(1, 1, 1), base_channels=8, stem_channels=8, out_indices=(0, 1, 2),
                  norm_eval=False, style='pytorch'),
    neck=dict(type='FPN', in_channels=[8, 16, 32], out_channels=16, num_outs=3),
    mask_head=dict(type='AggMaskStarHead', num_classes=3, in_channels=16, feat_channels=16,
                   stacked_convs=1, strides=(1, 1, 1), num_grids=(6, 5, 4),
                   scale_ranges=((1, 32), (16, 64), (32, 256)),
                   norm_cfg=dict(type='GN', num_groups=4)),
    test_cfg=dict(nms_pre=100, score_thr=0.001, mask_thr=0.5, filter_thr=0.0, kernel='gaussian',
                  sigma=2.0, max_per_img=20, mask_format='rle'))
'''


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Folder, config and checkpoint of a tiny model with two evaluators; the LVIS file is there."""
    folder = tmp_path_factory.mktemp('aggmask')
    annotations = make_coco(folder, 'val', 'val.json', count=3)
    data = read_json(annotations)
    for image in data['images']:
        image.update(neg_category_ids=list(IDS), not_exhaustive_category_ids=[])
    for category in data['categories']:
        category.update(frequency='f', synset=f'{category["name"]}.n.01')
    write_json(folder / 'lvis.json', data)
    base = write_config(folder / 'base.py').replace('.py', '')
    config = folder / 'two.py'
    config.write_text(f"_base_ = '{base}.py'\n" + HEAD
                      + f'''
metainfo = dict(classes={NAMES})
test_dataloader = dict(batch_size=2, dataset=dict(
    data_root='', ann_file='{annotations}', data_prefix=dict(img='{folder}/val'),
    metainfo=metainfo))
test_evaluator = [
    dict(type='CocoMaskMetric', ann_file='{annotations}', metric='segm'),
    dict(type='LVISMaskMetric', lvis_file='{folder}/lvis.json')]
''')
    torch.manual_seed(0)
    init_default_scope('mmdet')
    cfg = Config.fromfile(config)
    model = MODELS.build(cfg.model)
    model.init_weights()
    with torch.no_grad():
        model.mask_head.solo_cate.bias.fill_(0.)
    checkpoint = folder / 'two.pth'
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(dataset_meta=dict(classes=NAMES))), checkpoint)
    return folder, str(config), str(checkpoint)


def test_two_evaluations_in_a_row(files, tmp_path, capfd):
    _, config, checkpoint = files
    figures = run_test([config, checkpoint, '--eval', 'segm', '--work-dir', str(tmp_path),
                        '--show-dir', str(tmp_path / 'drawn')])
    assert 'coco/segm_mAP' in figures and 'lvis/AP' in figures
    shown = ''.join(capfd.readouterr())
    assert shown.index('segm  AP') < shown.index('LVIS segm  AP')
    assert len(list((tmp_path / 'drawn').rglob('*.png'))) == 3


def test_without_the_lvis_file(files, tmp_path, capfd):
    _, config, checkpoint = files
    figures = run_test([config, checkpoint, '--eval', 'segm', '--work-dir', str(tmp_path),
                        '--cfg-options', 'test_evaluator.1.lvis_file=absent.json'])
    assert 'coco/segm_mAP' in figures and not any(name.startswith('lvis') for name in figures)
    assert 'prepare_cocofied_lvis.py' in ''.join(capfd.readouterr())


def test_the_upload_file_of_images_without_annotations(files, tmp_path):
    folder, config, checkpoint = files
    info = read_json(folder / 'val.json')
    del info['annotations']
    ann = write_json(tmp_path / 'image_info.json', info)
    figures = run_test([config, checkpoint, '--ann', ann, '--images', str(folder / 'val'),
                        '--json-out', str(tmp_path / 'up'), '--work-dir', str(tmp_path)])
    assert not figures
    found = read_json(tmp_path / 'up.segm.json')
    assert found and {entry['category_id'] for entry in found} <= set(IDS)
    assert all(entry['segmentation']['size'] == [HEIGHT, WIDTH] for entry in found)
    assert [path.name for path in tmp_path.glob('up*.segm.json')] == ['up.segm.json']


def test_the_demo_draws_neighbors(files, tmp_path):
    folder, config, checkpoint = files
    demo([str(folder / 'val' / '00.png'), config, checkpoint, '--mode', 'neighbors',
          '--out', str(tmp_path), '--score-thr', '0.0', '--device', 'cpu'])
    picture = cv2.imread(str(tmp_path / '00.png'))
    # the result, five neighbors, the fused mask: two rows of four, enlarged six times
    assert picture.shape == (2 * 6 * HEIGHT + 4, 4 * 6 * WIDTH + 12, 3)


def test_the_published_configs_build_and_fit_their_checkpoints():
    names = sorted(path.name for path in (ROOT / 'configs' / 'aggmask').glob('*.py')
                   if 'shapes' not in path.name)
    assert len(names) == 9
    for name in names:
        cfg = Config.fromfile(ROOT / 'configs' / 'aggmask' / name)
        with torch.device('meta'):
            head = MODELS.build(cfg.model.mask_head)
        numbers = 909 if 'halve' in name else 945
        assert head.learned_weights.out_channels == numbers
        assert head.learned_weights.kernel_size == ((1, 1) if 'star' in name else (3, 3))
        assert cfg.train_cfg.max_epochs == (72 if 'star' in name else 36)
        few = name in ('aggmask_r50_fpn.py', 'aggmask_r101_fpn.py',
                       'aggmask_r101_fpn_halve_maskgrid.py')
        assert cfg.model.test_cfg.max_per_img == (100 if few else 300)
        assert cfg.model.backbone.depth == (50 if 'r50' in name else 101)
        assert [metric.type for metric in cfg.test_evaluator] == ['CocoMaskMetric',
                                                                  'LVISMaskMetric']
