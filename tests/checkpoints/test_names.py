"""Every parameter of every model has a published name, and conversion finds the way back."""
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.hub import get_config

import mmdet_lordre  # noqa: F401 - registers the models
from mmdet_lordre.checkpoints import convert_state_dict
from mmdet_lordre.checkpoints.verify import build_untrained

from ..configs.steps import firsts
from . import publish

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LORDRE = sorted((CONFIGS / 'lordre').glob('*_8xb8-270k_coco.py'))
BACKBONES = {'ResNet': (publish.detectron2, 'detectron2'), 'ResNetV1d': (publish.timm_d, 'timm-d'),
             'LordrePVTv2': (publish.pvt, 'pvt'),
             'TimmDarknet': (publish.timm_darknet, 'timm-darknet')}


def shapes(state):
    return {name: tuple(value.shape) for name, value in state.items()}


def check_round_trip(state, rename, format):
    published, names = publish.publish(state, rename)
    result = convert_state_dict(published)
    assert result.format.split(' ')[0] == format
    assert result.placed == names
    assert shapes(result.state) == shapes(state)
    assert not result.dropped
    return result


def test_there_are_seventeen_lordre_configs():
    assert len(LORDRE) == 17


@pytest.mark.parametrize('path', LORDRE, ids=lambda path: path.stem)
def test_lordre(path):
    cfg = Config.fromfile(path)
    rename, layout = BACKBONES[cfg.model.backbone.type]
    result = check_round_trip(build_untrained(cfg).state_dict(),
                              lambda name: publish.sparseinst(name, rename), 'sparseinst')
    assert result.layout == layout
    assert len(result.classes) == 80 and result.classes[0] == 'person'


MMDET = ['solov2_r50_fpn_1x_coco', 'solov2_r101-dcn_fpn_ms-3x_coco',
         'solov2_x101-dcn_fpn_ms-3x_coco', 'solov2-light_r18_fpn_ms-3x_coco',
         'solov2-light_r50-dcn_fpn_ms-3x_coco']


@pytest.fixture(scope='module', params=MMDET)
def mmdet_solov2(request):
    return build_untrained(get_config(f'mmdet::solov2/{request.param}.py')).state_dict()


def test_solov2_of_the_authors(mmdet_solov2):
    check_round_trip(mmdet_solov2, publish.solov2, 'solo')


def test_solov2_of_mmdet(mmdet_solov2):
    check_round_trip(mmdet_solov2, publish.mmdet_1x, 'mmdet')


@pytest.mark.parametrize('type, convs', [('SOLOHead', {}), ('DecoupledSOLOHead', {}),
                                         ('DecoupledSOLOLightHead', {})])
def test_solo_of_the_authors(type, convs):
    head = MODELS.build(dict(type=f'mmdet.{type}', num_classes=80, in_channels=256))
    state = {f'mask_head.{name}': value for name, value in head.state_dict().items()}

    def rename(name):
        name = name.replace('mask_head.', 'bbox_head.').replace('cls_convs', 'cate_convs')
        name = name.replace('mask_convs', 'ins_convs')
        one = 'solo' if type == 'SOLOHead' else 'dsolo'
        return [name.replace('conv_cls', f'{one}_cate').replace('conv_mask_list',
                                                                f'{one}_ins_list')]

    check_round_trip(state, rename, 'solo')


@pytest.mark.parametrize('family, format, dcn', [
    ('aggmask', 'aggmask', False), ('polarmask', 'polarmask', False),
    ('polarmask', 'polarmask', True), ('solov2', 'solo', False), ('solov2', 'solo', True)])
def test_whole_models_of_the_other_families(family, format, dcn):
    paths = [path for path in sorted((CONFIGS / family).glob('*.py'))
             if ('dcn' in path.stem) == dcn and 'shapes' not in path.stem]
    assert paths
    # configs that differ in their data or schedule have one model
    for path in firsts(paths, lambda model: model):
        rename = getattr(publish, 'polarmask_dcn' if format == 'polarmask' and dcn else family)
        check_round_trip(build_untrained(Config.fromfile(path)).state_dict(), rename, format)


@pytest.mark.parametrize('depth, layout, rename', [
    (18, 'torchvision', publish.torchvision), (50, 'torchvision', publish.torchvision),
    (50, 'detectron2', publish.detectron2), (101, 'detectron2', publish.detectron2)])
def test_imagenet_resnet(depth, layout, rename):
    with torch.device('meta'):
        state = MODELS.build(dict(type='mmdet.ResNet', depth=depth)).state_dict()
    published, names = publish.publish(state, rename)
    classifier = {'torchvision': 'fc', 'detectron2': 'stem.fc'}[layout]
    published[f'{classifier}.weight'] = published[f'{classifier}.bias'] = torch.zeros(1)
    result = convert_state_dict(published)
    assert (result.layout, result.placed) == (layout, names)
    assert result.dropped == dict.fromkeys([f'{classifier}.weight', f'{classifier}.bias'],
                                           'ImageNet classifier')


@pytest.mark.parametrize('config, layout, rename, classifier', [
    (dict(type='mmdet.ResNetV1d', depth=50), 'timm-d', publish.timm_d, 'fc'),
    (dict(type='TimmDarknet', csp=True), 'timm-darknet', publish.timm_darknet, 'head.fc'),
    (dict(type='LordrePVTv2', num_layers=[2, 2, 2, 2]), 'pvt', publish.pvt, 'head'),
    (dict(type='LordrePVTv2', num_layers=[3, 4, 6, 3], linear=True), 'pvt', publish.pvt, 'head')])
def test_imagenet_others(config, layout, rename, classifier):
    state = MODELS.build(config).state_dict()
    published, names = publish.publish(state, rename)
    published[f'{classifier}.weight'] = torch.zeros(1)
    result = convert_state_dict(published)
    assert (result.layout, result.placed) == (layout, names)
    assert list(result.dropped) == [f'{classifier}.weight']
    for name, value in state.items():
        assert torch.equal(result.state[name], value), name
