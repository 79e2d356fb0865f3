"""What a program that has only an ONNX file is told about its images."""
import pytest
import torch
from mmengine.config import Config

from mmdet_lordre.config.reading import input_size
from mmdet_lordre.deployment.exporting import _input_size, compare_with_torch, image_preparation
from mmdet_lordre.errors import UserError

from . import models


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


def test_pictures_that_keep_their_size():
    """Where no size is said it must be, or is left free."""
    cfg = Config(dict(model=dict(data_preprocessor=dict(pad_size_divisor=96)), test_dataloader=dict(
        dataset=dict(pipeline=[dict(type='Resize', scale_factor=1.0)]))))
    assert _input_size(cfg, None, 'a', True) == (288, 288)
    assert _input_size(cfg, (96, 192), 'a', True) == (96, 192)
    with pytest.raises(UserError, match='give the size with --shape H W, or leave it free with'):
        _input_size(cfg, None, 'a', False)


def test_an_onnxruntime_without_deformable_convolution(monkeypatch):
    """As those before 1.25 say it."""
    onnxruntime = pytest.importorskip('onnxruntime')

    def refuse(*args):
        raise RuntimeError('[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an '
                           'implementation for DeformConv(19) node with name \'\'')
    monkeypatch.setattr(onnxruntime, 'InferenceSession', refuse)
    with pytest.raises(UserError, match=r"m.onnx was written, but not compared.*>=1\.25'"):
        compare_with_torch(None, 'm.onnx', (64, 64))
