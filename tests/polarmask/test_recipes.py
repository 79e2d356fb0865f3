"""The settings of every recipe, against the table of the published ones."""
import re
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

FOLDER = Path(__file__).resolve().parents[2] / 'configs' / 'polarmask'
# part of the name -> training sizes, epochs, steps, images a batch, learning rate, warm-up
RECIPES = {
    '1x': ([(1280, 768)], 12, [8, 11], 16, 0.01, 500),
    '800-1x': ([(1333, 800)], 14, [10, 13], 128, 0.08, 2000),
    'dcn 1x': ([(1280, 768)], 14, [10, 13], 128, 0.08, 2000),
    'x101 dcn 1x': ([(1280, 768)], 14, [10, 13], 64, 0.04, 2000),
    'ms-640-800-2x': ([(1333, 640), (1333, 800)], 26, [18, 24], 32, 0.02, 2000),
    'ms-640-800-6x': ([(1333, 640), (1333, 800)], 74, [50, 68], 32, 0.02, 2000),
}
CONFIGS = sorted(FOLDER.glob('*_coco.py'))


def recipe_of(name):
    schedule = re.search(r'(1x|800-1x|ms-640-800-[26]x)_coco', name)[1]
    if schedule == '1x':
        schedule = ' '.join(filter(None, ['x101' * ('x101' in name and 'dcn' in name),
                                          'dcn' * ('dcn' in name), '1x']))
    return RECIPES[schedule]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_has_the_published_settings(path):
    cfg = Config.fromfile(path)
    sizes, epochs, steps, images, rate, warm_up = recipe_of(path.stem)
    pipeline = cfg.train_dataloader.dataset.pipeline
    resize = next(step for step in pipeline if 'Resize' in step.type)
    scale = resize.scale if isinstance(resize.scale, list) else [resize.scale]
    assert [tuple(s) for s in scale] == sizes and resize.keep_ratio is False
    test = cfg.test_dataloader.dataset.pipeline[1]
    assert (tuple(test.scale), test.keep_ratio) == (sizes[-1], False)
    assert [step.type for step in pipeline][-2:] == ['ExtractContours', 'PackDetInputs']
    assert cfg.train_dataloader.dataset.filter_cfg == dict(filter_empty_gt=True, min_size=32)

    linear, multi_step = cfg.param_scheduler
    assert (cfg.train_cfg.max_epochs, multi_step.end) == (epochs, epochs)
    assert multi_step.milestones == steps and linear.end == warm_up
    assert cfg.auto_scale_lr.base_batch_size == images and cfg.optim_wrapper.optimizer.lr == rate
    assert linear.start_factor * rate == pytest.approx(0.01 / 3)
    # the linear rule holds among the recipes
    assert rate / images == pytest.approx(0.01 / 16)
    assert cfg.optim_wrapper.paramwise_cfg == dict(bias_lr_mult=2.0, bias_decay_mult=0.0)
    assert cfg.optim_wrapper.clip_grad.max_norm == 35
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.momentum, optimizer.weight_decay) == ('SGD', 0.9, 1e-4)

    model = cfg.model
    x101, dcn = 'x101' in path.stem, 'dcn' in path.stem
    assert model.backbone.style == ('pytorch' if x101 else 'caffe')
    assert model.data_preprocessor.bgr_to_rgb is x101
    assert model.data_preprocessor.std == ([58.395, 57.12, 57.375] if x101 else [1.0] * 3)
    assert model.data_preprocessor.pad_size_divisor == 128
    assert model.backbone.get('dcn', {}).get('type') == (
        'DCNv2' if 'dcnv2' in path.stem else 'DCN' if dcn else None)
    assert model.bbox_head.get('conv_cfg') == (dict(type='DCNv2') if dcn else None)
    assert model.bbox_head.num_rays == 36 and model.bbox_head.center_radius == 1.5


def test_every_published_configuration_has_one_file():
    published = [f'{gpus}gpu/polar_768_1x_{net}' for gpus in (4, 32)
                 for net in ('r50', 'r101', 'x101')]
    published += [f'32gpu/polar_{kind}_{net}{dcn}' for kind in ('768_1x', '640_800_2x')
                  for net in ('r50', 'r101', 'x101') for dcn in ('', '_dcn2')]
    published += ['32gpu/polar_800_1x_r50', '32gpu/polar_640_800_6x_r101_dcn2',
                  '32gpu/polar_768_1x_r50_FastLoader']
    models = yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']
    listed = [old for model in models for old in model['Metadata']['Published Config'].split(', ')]
    assert sorted(listed) == sorted(set(published))
    assert sorted(model['Name'] for model in models) == [path.stem for path in CONFIGS]
    readme = (FOLDER / 'README.md').read_text()
    assert all(f'`{old}`' in readme for old in published)
    assert all(path.name in readme for path in CONFIGS)
