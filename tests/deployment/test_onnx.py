"""ONNX files: the answers of onnxruntime are those of PyTorch."""
import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from mmdet.models.backbones import ResNet

from mmdet_lordre.deployment.onnx import ExportedModel, export_onnx
from mmdet_lordre.deployment.onnx.check import (
    compare,
    network_outputs,
    onnx_instances,
    score_floor,
    torch_instances,
)
from mmdet_lordre.deployment.onnx.operators import adaptive_avg_pool2d
from mmdet_lordre.models import head_of

from .models import FAMILIES, build, lordre, picture, polarmask, solov2

SIZE = (64, 96)


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])


def agreement(model, session, images):
    head = head_of(model)
    return compare(torch_instances(model, images),
                   onnx_instances(session, images, head.test_cfg.get('mask_thr', 0.5)),
                   score_floor(head))


def check(model, path, shapes, least=5):
    session = session_of(path)
    for shape in shapes:
        found = agreement(model, session, picture(*shape))
        assert not found.missing, str(found)
        assert found.matched >= least
        assert found.score_difference < 1e-3 and found.worst_iou > 0.98, str(found)
    return session


@pytest.mark.parametrize('family', FAMILIES)
def test_any_size_and_batch(family, tmp_path):
    """One dynamic file: sizes that no bin of a pyramid divides, several images at once."""
    model = build(FAMILIES[family]())
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE, dynamic=True)
    check(model, tmp_path / 'm.onnx', [(64, 96), (96, 64), (128, 160), (96, 160, 3)])
    file = onnx.load(tmp_path / 'm.onnx')
    onnx.checker.check_model(file, full_check=True)
    assert {node.domain for node in file.graph.node} == {''}, 'custom operators'
    assert file.opset_import[0].version == 17


@pytest.mark.parametrize('family', ['lordre', 'solov2', 'polarmask'])
def test_images_without_detections(family, tmp_path):
    """Nothing in any image, and nothing in one of two."""
    model = build(FAMILIES[family]())
    silent = copy.deepcopy(model)
    head_of(silent).test_cfg.update(score_thr=0.999)
    export_onnx(silent, str(tmp_path / 'm.onnx'), SIZE, dynamic=True)
    session = session_of(tmp_path / 'm.onnx')
    images = torch.cat((picture(*SIZE) * 0, picture(*SIZE)))
    found = onnx_instances(session, images, 0.5)
    assert [len(one['scores']) for one in found] == [
        len(one['scores']) for one in torch_instances(silent, images)]


@pytest.mark.parametrize('settings', [dict(groups=1, normalization='softmax'),
                                      dict(norm_cfg=dict(type='BN'))], ids=str)
def test_forms_of_lordre(settings, tmp_path):
    model = build(lordre(**settings))
    model.mask_head.test_cfg['max_per_img'] = 8
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE)
    check(model, tmp_path / 'm.onnx', [SIZE], least=2)


def test_forms_of_the_grid_family(tmp_path):
    model = build(solov2(dynamic_conv_size=3))
    model.mask_head.test_cfg.update(kernel='linear', mask_format='rle')
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE)
    check(model, tmp_path / 'm.onnx', [SIZE])


@pytest.mark.parametrize('family', ['aggmask', 'aggmask_star'])
def test_neighbors_at_learned_offsets(family, tmp_path):
    model = build(FAMILIES[family](deformable=True))
    offsets = model.mask_head.neighbor_offsets
    torch.nn.init.normal_(offsets.weight, std=0.3)
    torch.nn.init.normal_(offsets.bias)
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE, dynamic=True)
    check(model, tmp_path / 'm.onnx', [SIZE, (96, 64)])
    # the offsets take part
    torch.nn.init.zeros_(offsets.weight)
    torch.nn.init.zeros_(offsets.bias)
    with pytest.raises(AssertionError):
        check(model, tmp_path / 'm.onnx', [SIZE])


def test_boxes_of_contours(tmp_path):
    model = build(polarmask())
    model.bbox_head.test_cfg['nms_boxes'] = 'contour'
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE)
    check(model, tmp_path / 'm.onnx', [SIZE])
    model.bbox_head.test_cfg['nms'] = dict(type='soft_nms')
    with pytest.raises(ValueError, match='soft_nms'):
        ExportedModel(model)
    model.bbox_head.test_cfg['nms'] = dict(type='nms', iou_threshold=0.5, class_agnostic=True)
    with pytest.raises(ValueError, match='class_agnostic'):
        export_onnx(model, str(tmp_path / 'n.onnx'), SIZE)
    assert not (tmp_path / 'n.onnx').exists()


@pytest.mark.parametrize('none', [-1, 0])
def test_polarmask_without_limits(tmp_path, none):
    model = build(polarmask())
    model.bbox_head.test_cfg.update(nms_pre=none, max_per_img=none)
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE)
    check(model, tmp_path / 'm.onnx', [SIZE], least=16)


def test_holes_of_polarmask(tmp_path):
    model = build(polarmask(holes=True))
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE, dynamic=True)
    session = check(model, tmp_path / 'm.onnx', [SIZE, (96, 160, 2)])
    image = picture(*SIZE)
    outputs = dict(zip((output.name for output in session.get_outputs()),
                       session.run(None, {'image': image.numpy()})))
    held = outputs['labels'] >= 0
    contours, holes = (outputs[name][held] for name in ('contours', 'holes'))
    drawn = np.abs(holes - holes[:, :1]).max((1, 2)) > 0
    assert drawn.any() and contours.shape == holes.shape
    # without them masks are others
    model.bbox_head.test_cfg['hole_thr'] = 1.0
    with pytest.raises(AssertionError):
        check(model, tmp_path / 'm.onnx', [SIZE])


@pytest.mark.skipif(tuple(map(int, onnxruntime.__version__.split('.')[:2])) < (1, 25),
                    reason='onnxruntime before 1.25 has no deformable convolution on the CPU')
@pytest.mark.parametrize('config', [solov2(dcn_cfg=dict(type='DCN')),
                                    polarmask(conv_cfg=dict(type='DCNv2'))], ids=['v1', 'v2'])
def test_deformable_convolution(config, tmp_path):
    """The operator of opset 19, with offsets that are not zero."""
    model = build(config)
    for name, value in model.named_parameters():
        if 'conv_offset' in name:
            torch.nn.init.normal_(value, std=0.1)
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE, dynamic=True)
    check(model, tmp_path / 'm.onnx', [SIZE, (96, 64)])
    file = onnx.load(tmp_path / 'm.onnx')
    assert file.opset_import[0].version == 19
    assert 'DeformConv' in {node.op_type for node in file.graph.node}


def test_linear_attention(tmp_path):
    """A transformer backbone, whose attention pools to a grid that divides no size."""
    config = lordre(normalization='softmax')
    config['backbone'] = dict(type='LordrePVTv2', embed_dims=8, num_layers=[1, 1, 1, 1],
                              num_heads=[1, 1, 2, 2], linear=True, out_indices=(1, 2, 3))
    config['neck']['in_channels'] = (8, 16, 16)
    model = build(config)
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE, dynamic=True)
    check(model, tmp_path / 'm.onnx', [(96, 160)], least=1)


@pytest.mark.parametrize('size, bins', [((9, 14), 6), ((20, 27), (3, 6)), ((5, 4), 7),
                                        ((20, 27), (None, 3))])
def test_adaptive_pooling_is_exact(size, bins):
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(adaptive_avg_pool2d(x, bins), F.adaptive_avg_pool2d(x, bins),
                               rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('family', ['lordre', 'solov2', 'polarmask'])
def test_half_precision(family, tmp_path):
    """A smaller file with float32 at both ends; scores agree roughly."""
    model = build(FAMILIES[family]())
    paths = [str(tmp_path / name) for name in ('32.onnx', '16.onnx')]
    export_onnx(model, paths[0], SIZE)
    export_onnx(model, paths[1], SIZE, half=True)
    sizes = [sum(len(tensor.raw_data) for tensor in onnx.load(path).graph.initializer)
             for path in paths]
    assert sizes[1] < 0.6 * sizes[0]
    found = [onnx_instances(session_of(path), picture(*SIZE), 0.5)[0]['scores']
             for path in paths]
    assert abs(len(found[0]) - len(found[1])) <= 1
    count = min(map(len, found))
    a, b = (np.sort(scores)[::-1][:count] for scores in found)
    assert count and 0 < np.abs(a - b).max() < 0.05


@pytest.mark.parametrize('family', FAMILIES)
def test_outputs_of_the_head(family, tmp_path):
    """Without the rest: the tensors that the head gives, under names."""
    model = build(FAMILIES[family]())
    exported = export_onnx(model, str(tmp_path / 'm.onnx'), SIZE, dynamic=True, end_to_end=False)
    images = picture(96, 64, 2)
    session = session_of(tmp_path / 'm.onnx')
    assert tuple(output.name for output in session.get_outputs()) == exported.names
    with torch.no_grad():
        expected = exported(images)
    given = session.run(None, {'image': images.numpy()})
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE, dynamic=True, overwrite=True)
    assert not set(exported.names) & {one.name for one in session_of(tmp_path / 'm.onnx')
                                      .get_outputs()}
    inside = network_outputs(str(tmp_path / 'm.onnx'), model, images)
    for name, a, b in zip(exported.names, expected, given, strict=True):
        # an end-to-end file has them inside
        np.testing.assert_allclose(inside[name], b, rtol=1e-3, atol=1e-3 * float(a.abs().max()))
        # rounding goes with the largest of a tensor: untrained weights give logits of thousands
        largest = float(a.abs().max())
        np.testing.assert_allclose(a.numpy(), b, rtol=2e-3, atol=2e-3 * max(1, largest / 500),
                                   err_msg=name)


def test_probabilities(tmp_path):
    model = build(lordre(normalization='softmax'))
    export_onnx(model, str(tmp_path / 'm.onnx'), SIZE, binary=False)
    masks = check(model, tmp_path / 'm.onnx', [SIZE]).run(
        ['masks'], {'image': picture(*SIZE).numpy()})[0]
    assert masks.dtype == np.float32 and masks.shape[2:] == SIZE
    assert ((masks > 0.01) & (masks < 0.99)).any()


def test_other_heads_are_refused():
    class Other(torch.nn.Module):
        mask_head = torch.nn.Linear(1, 1)

    with pytest.raises(ValueError, match='no ONNX export of Linear'):
        ExportedModel(Other())
    with pytest.raises(ValueError, match='neither mask_head nor bbox_head'):
        ExportedModel(ResNet(18))
