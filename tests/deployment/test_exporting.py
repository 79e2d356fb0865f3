"""What a program that has only an ONNX file is told about its images."""
import re

import numpy as np
import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.config import Config

from mmdet_lordre.config.reading import input_size
from mmdet_lordre.deployment import exporting
from mmdet_lordre.deployment.exporting import (
    SCORE_DIFFERENCE,
    _input_size,
    compare_with_torch,
    image_preparation,
)
from mmdet_lordre.deployment.onnx import check, export_onnx
from mmdet_lordre.deployment.onnx.check import Agreement, compare
from mmdet_lordre.errors import UserError

from . import models

SIZED = Config(dict(model=dict(data_preprocessor=dict(pad_size_divisor=32))))


@pytest.mark.parametrize('resize, scale, keeps, size', [
    (dict(scale=(512, 384)), [512, 384], False, (384, 512)),
    (dict(scale=(384, 512)), [384, 512], False, (512, 384)),
    (dict(scale=640), [640, 640], False, (640, 640)),
    (dict(scale=(512, 384), keep_ratio=True), [512, 384], True, (384, 512)),
    (dict(scale=(384, 512), keep_ratio=True), [384, 512], True, (384, 512))], ids=str)
def test_resize_is_mmcvs(resize, scale, keeps, size):
    model = models.build(models.lordre())
    model.cfg = Config(dict(
        model=dict(data_preprocessor=dict(pad_size_divisor=32)),
        test_dataloader=dict(dataset=dict(pipeline=[dict(type='Resize', **resize)]))))
    model.dataset_meta = dict(classes=('a', ))
    model.data_preprocessor.mean = model.data_preprocessor.std = torch.ones(3)
    model.data_preprocessor._channel_conversion = True
    found = image_preparation(model)
    assert (found['scale'], found['keep_ratio']) == (scale, keeps)
    assert input_size(model.cfg) == size


def test_what_is_not_set_and_what_is_0():
    """A preprocessor that does not normalize, a threshold of 0, and each way to fill contours."""
    model = models.build(models.lordre())
    model.cfg = Config(dict(model=dict(data_preprocessor=dict()), test_dataloader=dict(
        dataset=dict(pipeline=[dict(type='Resize', scale=64)]))))
    model.dataset_meta = dict(classes=('a', ))
    model.data_preprocessor = DetDataPreprocessor()
    model.mask_head.test_cfg['mask_thr'] = 0
    found = image_preparation(model)
    assert found['mean'] == [0, 0, 0] and found['std'] == [1, 1, 1]
    assert found['mask_thr'] == 0 and (found['fill'], found['rounded']) == (None, False)
    polar = models.build(models.polarmask())
    polar.cfg, polar.dataset_meta = model.cfg, model.dataset_meta
    polar.data_preprocessor = DetDataPreprocessor(mean=[1, 2, 3], std=[4, 5, 6])
    for fill in ('opencv', 'rounded', 'coco'):
        polar.bbox_head.test_cfg['fill'] = fill
        found = image_preparation(polar)
        assert (found['fill'], found['rounded']) == (fill, fill == 'rounded')
        assert found['mean'] == [1, 2, 3] and found['std'] == [4, 5, 6]


def test_pictures_that_keep_their_size():
    """Where no size is said it must be, or is left free."""
    cfg = Config(dict(model=dict(data_preprocessor=dict(pad_size_divisor=96)), test_dataloader=dict(
        dataset=dict(pipeline=[dict(type='Resize', scale_factor=1.0)]))))
    assert _input_size(cfg, None, 'a', True) == (288, 288)
    assert _input_size(cfg, (96, 192), 'a', True) == (96, 192)
    with pytest.raises(UserError, match=r'with shape \(height and width\), or leave it free'):
        _input_size(cfg, None, 'a', False)


@pytest.mark.parametrize('shape', [5, (64, ), (64, 64, 3), ('a', 3), (64., 64), '64', (),
                                   (64, None)], ids=str)
def test_a_size_is_two_whole_numbers(shape):
    with pytest.raises(UserError, match=f'^shape {re.escape(repr(shape))}: give height and width, '
                                        'two whole numbers$'):
        _input_size(SIZED, shape, 'a', False)


@pytest.mark.parametrize('shape', [(64, 96), [64, 96], np.array([64, 96]),
                                   (np.int64(64), np.uint8(96)), torch.Size((64, 96))], ids=str)
def test_sizes_of_any_whole_numbers(shape):
    size = _input_size(SIZED, shape, 'a', False)
    assert size == (64, 96) and all(type(side) is int for side in size)


def found(*rows, score=0.5):
    """One object in an image of 10 x 10 with some full rows, and pixels of the next one."""
    mask = np.zeros(100, bool)
    mask[:10 * rows[0] + rows[1]] = True
    return [dict(scores=np.float32([score]), labels=np.array([1]), masks=mask.reshape(1, 10, 10))]


@pytest.mark.parametrize('ours, theirs, said', [
    (found(6, 0), found(6, 2), []), (found(0, 3), found(0, 1), []),
    (found(9, 9), found(9, 8), []),
    (found(6, 0), found(6, 3), ['the mask of 1 detection differs by more than rounding, at most of '
                                'class 1 with score 0.500: IoU 0.9524, 3 pixels']),
    (found(6, 0), found(2, 0), ['2 detections found by one side alone, the first of class 1 with '
                                'score 0.500 by PyTorch']),
    (found(6, 0), found(6, 0, score=0.75), ['scores differ by up to 2.5e-01, more than 0.001'])])
def test_what_differs_by_more_than_rounding(ours, theirs, said):
    """Pixels at the threshold fall on either side: two of a small mask are many of its pixels."""
    total = compare(ours, theirs) + Agreement()
    assert total.differences(SCORE_DIFFERENCE) == said
    agreeing = 0 if total.missing or total.unlike else 1
    assert str(total).startswith(f'{agreeing} detection')


def test_a_file_that_finds_something_else(monkeypatch):
    """The line says what differs, and what becomes of the file."""
    onnxruntime = pytest.importorskip('onnxruntime')
    monkeypatch.setattr(onnxruntime, 'InferenceSession', lambda *args: None)
    monkeypatch.setattr(check, 'network_outputs', lambda *args: {})
    monkeypatch.setattr(check, 'torch_instances', lambda *args: found(6, 0))
    monkeypatch.setattr(check, 'onnx_instances', lambda *args: found(6, 3))
    model = models.build(models.lordre())
    model.cfg = Config(dict(model={}))
    with pytest.raises(UserError, match=r'^m\.onnx was written, but .* finds: the mask of 1 '
                                        r'detection differs .*\(--overwrite replaces '):
        compare_with_torch(model, 'm.onnx', (64, 64))
    # what rounding to float16 explains
    assert compare_with_torch(model, 'm.onnx', (64, 64), half=True).matched == 1
    for other in (found(2, 0), found(6, 0, score=0.9), []):
        monkeypatch.setattr(check, 'onnx_instances', lambda *args, other=other: other or nothing())
        with pytest.raises(UserError, match=r'^m\.onnx was written, but in float16 .* of [12] '
                                            r'detections? with scores of 0\.30 or more both have '
                                            r'0: export without --fp16 \(--overwrite replaces '):
            compare_with_torch(model, 'm.onnx', (64, 64), half=True)


def nothing():
    """An image without objects."""
    return [{key: values[:0] for key, values in found(6, 0)[0].items()}]


def test_where_nothing_is_found_nothing_agrees(monkeypatch, capsys):
    onnxruntime = pytest.importorskip('onnxruntime')
    monkeypatch.setattr(onnxruntime, 'InferenceSession', lambda *args: None)
    for name in ('torch_instances', 'onnx_instances'):
        monkeypatch.setattr(check, name, lambda *args: nothing())
    monkeypatch.setattr(check, 'network_outputs', lambda *args: {})
    model = models.build(models.lordre())
    model.cfg = Config(dict(model={}))
    for half in (False, True):
        assert compare_with_torch(model, 'm.onnx', (64, 64), half=half).empty
        said = capsys.readouterr().out
        assert 'nothing was found on the drawn picture, so nothing was compared' in said
        assert '--image' in said and 'agree' not in said


@pytest.mark.parametrize('end_to_end', [True, False])
@pytest.mark.parametrize('half, largest, said', [(True, 1e7, 'activations overflow float16: export '
                                                  'without --fp16'),
                                                 (False, 1e38, 'the network is of no use')])
def test_a_network_that_overflows(half, largest, said, end_to_end, tmp_path):
    """It finds nothing, which is what a picture without objects looks like."""
    pytest.importorskip('onnxruntime')
    model = models.build(models.lordre())
    norm = model.backbone.layer2[0].bn1
    norm.weight.data *= largest
    norm.bias.data *= largest
    out = str(tmp_path / 'm.onnx')
    if not half:
        model.backbone.layer2[0].conv2.weight.data *= largest
    else:  # within float32 nothing has changed
        model.backbone.layer2[0].conv2.weight.data /= largest
    export_onnx(model, out, (64, 64), half=half, end_to_end=end_to_end)
    model.cfg = Config(dict(model={}))
    picture = models.picture(64, 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, 'read_picture', lambda *args: picture)
        with pytest.raises(UserError, match=rf'm\.onnx was written, but class_logits, .* are not '
                                            rf'finite: {said}.*\(--overwrite replaces '):
            compare_with_torch(model, out, (64, 64), half=half, end_to_end=end_to_end)
        if half:
            export_onnx(model, out, (64, 64), overwrite=True)
            assert compare_with_torch(model, out, (64, 64)).matched


def test_an_onnxruntime_without_deformable_convolution(monkeypatch):
    """As those before 1.25 say it."""
    onnxruntime = pytest.importorskip('onnxruntime')

    def refuse(*args):
        raise RuntimeError('[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an '
                           'implementation for DeformConv(19) node with name \'\'')
    monkeypatch.setattr(onnxruntime, 'InferenceSession', refuse)
    with pytest.raises(UserError, match=r"m.onnx was written, but not compared.*>=1\.25'"):
        compare_with_torch(None, 'm.onnx', (64, 64))
