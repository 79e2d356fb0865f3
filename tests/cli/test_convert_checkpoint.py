"""``tools/convert_checkpoint.py`` as a person runs it, and what loads from its files."""
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import CheckpointLoader

import mmdet_lordre  # noqa: F401 - registers the models
from mmdet_lordre.checkpoints import ConversionError, convert_file, convert_state_dict
from mmdet_lordre.checkpoints.convert import COCO_CLASSES
from mmdet_lordre.cli.convert_checkpoint import main as convert
from mmdet_lordre.cli.demo import main as demo
from mmdet_lordre.cli.test import main as run_test
from mmdet_lordre.errors import UserError
from tests.cli.tiny import make_coco, write_config
from tests.parity.case import OWN_CASES, ParityCase

from ..checkpoints import publish

ROOT = Path(__file__).resolve().parents[2]
SOFT = ROOT / 'configs/lordre/lordre_r50_giam-soft_8xb8-270k_coco.py'


@pytest.fixture(scope='module')
def published(tmp_path_factory):
    case = ParityCase(OWN_CASES / 'lordre_r50_giam_soft.json')
    path = tmp_path_factory.mktemp('published') / 'sparse_inst.pth'
    torch.save(dict(model=case.tensors() | dict(pixel_mean=torch.zeros(3, 1, 1))), path)
    return path


@pytest.fixture(scope='module')
def converted(published):
    """The tool's output, found without a word about format or config."""
    target = published.parent / 'sub' / 'ours.pth'
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/convert_checkpoint.py', published, target],
        capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return target, done.stdout


def test_the_report_accounts_for_every_name(converted):
    _, report = converted
    assert 'format   sparseinst, backbone layout detectron2' in report
    assert 'placed   318 published tensors as 318' in report
    assert 'pixel_mean: a setting of data_preprocessor' in report
    assert 'missing  0' in report
    assert f'config {SOFT.stem}' in report
    assert 'classes  80 (person, ..., toothbrush)' in report


def test_the_file_says_what_it_is(published, converted):
    meta = torch.load(converted[0], weights_only=True)['meta']
    assert meta['dataset_meta']['classes'] == COCO_CLASSES
    assert meta['config'] == SOFT.stem
    assert "normalization='softmax'" in meta['cfg']
    assert meta['source'] == dict(
        file='sparse_inst.pth', format='sparseinst',
        sha256=hashlib.sha256(published.read_bytes()).hexdigest())


def test_a_detector_takes_weights_and_classes_from_it(converted):
    model = init_detector(str(SOFT), str(converted[0]), device='cpu', palette='random')
    assert model.dataset_meta['classes'] == COCO_CLASSES
    ours = torch.load(converted[0], weights_only=True)['state_dict']
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in ours.items())


def test_the_tools_take_it_as_it_is(tmp_path):
    config = write_config(tmp_path / 'tiny.py')
    init_default_scope('mmdet')
    state, _ = publish.publish(
        MODELS.build(Config.fromfile(config).model).state_dict(),
        lambda name: publish.sparseinst(name, publish.detectron2))
    torch.save(dict(model=state), tmp_path / 'published.pth')
    target = str(tmp_path / 'ours.pth')
    assert convert_file(tmp_path / 'published.pth', target, config=config).missing == []
    ann = make_coco(tmp_path, count=3, names=('person', 'car', 'dog'), ids=(1, 3, 18))
    figures = run_test([config, target, '--ann', ann, '--eval', 'segm',
                        '--work-dir', str(tmp_path / 'work')])
    assert 0 <= figures['coco/segm_mAP'] <= 1
    assert len(demo([str(tmp_path / 'images'), config, target, '--score-thr', '0',
                     '--out', str(tmp_path / 'drawn')])) == 3


def test_another_model_is_refused_and_nothing_written(published, tmp_path, error_line):
    config = ROOT / 'configs/lordre/lordre_r50_iam_8xb8-270k_coco.py'
    line = error_line(convert, published, tmp_path / 'ours.pth', '--config', config)
    assert line.startswith('error: the file does not fit the model of')
    assert 'mask_head.inst_branch.softmax_bias: not in the model' in line
    assert '(400, 64, 3, 3) in the file, (100, 256, 3, 3) in the model' in line
    assert not list(tmp_path.iterdir())


def test_an_error_is_one_line(tmp_path, error_line):
    line = error_line(convert, tmp_path / 'gone.pth', tmp_path / 'b.pth')
    assert line == f'error: {tmp_path}/gone.pth: no such file'


def test_a_missing_config_and_an_overwritten_source_are_refused(published, tmp_path):
    with pytest.raises(ConversionError, match='no such config'):
        convert_file(published, tmp_path / 'a.pth', config=tmp_path / 'gone.py')
    for overwrite in (False, True):
        with pytest.raises(UserError, match='is both an input and an output'):
            convert_file(published, published, overwrite=overwrite)


def test_a_file_that_is_there_is_replaced_only_when_asked(published, tmp_path):
    target = tmp_path / 'ours.pth'
    target.write_text('somebody else')
    with pytest.raises(UserError, match=r'ours\.pth already exists: .* overwrite=True$'):
        convert_file(published, target, config=SOFT)
    assert target.read_text() == 'somebody else'
    convert_file(published, target, config=SOFT, overwrite=True)
    assert torch.load(target, weights_only=True)['state_dict']
    assert not list(tmp_path.glob('*.tmp'))


def test_a_head_alone_fits_and_its_missing_parts_are_counted(published, tmp_path):
    state = torch.load(published, weights_only=True)['model']
    head = {name: value for name, value in state.items() if name.startswith('decoder.')}
    torch.save(head, tmp_path / 'head.pth')
    result = convert_file(tmp_path / 'head.pth', tmp_path / 'ours.pth', config=SOFT)
    assert {name.split('.')[0] for name in result.missing} == {'backbone', 'neck'}
    head.pop('decoder.inst_branch.fc.bias')
    torch.save(head, tmp_path / 'head.pth')
    with pytest.raises(ConversionError, match=r'inst_branch\.fc\.bias: not in the file'):
        convert_file(tmp_path / 'head.pth', tmp_path / 'other.pth', config=SOFT)


def test_a_published_imagenet_file_is_an_init_cfg(tmp_path):
    published = MODELS.build(dict(type='mmdet.ResNetV1d', depth=50)).state_dict()
    state, _ = publish.publish(published, publish.timm_d)
    torch.save(state | {'fc.weight': torch.zeros(2, 2)}, tmp_path / 'resnet50d.pth')
    backbone = MODELS.build(dict(
        type='mmdet.ResNetV1d', depth=50, init_cfg=dict(
            type='Pretrained', checkpoint=f'published://{tmp_path}/resnet50d.pth')))
    backbone.init_weights()
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, published[name]), name


def test_the_scheme_refuses_what_has_no_place(tmp_path):
    torch.save({'conv1.weight': torch.zeros(1), 'odd': torch.zeros(1)}, tmp_path / 'a.pth')
    with pytest.raises(ConversionError, match='odd'):
        CheckpointLoader.load_checkpoint(f'published://{tmp_path}/a.pth')


def test_caffe2_layers_become_norms_that_compute_the_same():
    rng = np.random.default_rng(0)
    scale, shift = (torch.from_numpy(rng.standard_normal(64).astype(np.float32))
                    for _ in range(2))
    state = {'conv1_w': torch.zeros(64, 3, 7, 7), 'res_conv1_bn_s': scale, 'res_conv1_bn_b': shift,
             'res2_0_branch2a_w': torch.zeros(64, 64, 1, 1), 'fc1000_w': torch.zeros(2, 2)}
    result = convert_state_dict(state)
    backbone = MODELS.build(dict(type='mmdet.ResNet', depth=50, style='caffe'))
    backbone.eval()
    missing, unexpected = backbone.load_state_dict(result.state, strict=False)
    assert not unexpected and 'bn1.running_var' not in missing
    x = torch.from_numpy(rng.standard_normal((2, 64, 3, 3)).astype(np.float32))
    expected = x * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(backbone.bn1(x), expected, rtol=1e-5, atol=1e-5)
    assert 'BGR' in result.summary()
