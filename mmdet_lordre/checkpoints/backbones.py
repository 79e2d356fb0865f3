"""Backbone layouts: how the published files name the parameters of a backbone.

A layout is told from the names alone. ``detectron2`` and ``caffe2`` (ResNet), ``torchvision``
(ResNet and ResNeXt, also as mmdet 1.x and 2.x have them), ``timm-d`` (ResNet-D, called vd),
``pvt`` (PVTv2) and ``timm-darknet`` (DarkNet-53, CSPDarkNet-53).
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from .rules import Conversion, ConversionError, Rule, apply_rules

_BN = r'(weight|bias|running_mean|running_var|num_batches_tracked)'
_WB = r'(weight|bias)'
_CLASSIFIER = 'ImageNet classifier'

#: Layout -> a pattern that one of its names matches (without prefix) and none of the others'.
MARKERS = {
    'detectron2': r'stem\.conv1\.weight|res[2-5]\.\d+\.conv1\.weight',
    'caffe2': r'conv1_w|res[2-5]_\d+_branch2a_w',
    'timm-d': r'conv1\.0\.weight',
    'torchvision': r'conv1\.weight',
    'pvt': r'patch_embed1\.proj\.weight',
    'timm-darknet': r'stem\.conv1\.conv\.weight',
}


def find_layout(names: Iterable[str]) -> str | None:
    """The layout of a backbone's names (without prefix), None if there is no such name.

    Raises:
        ConversionError: The names are of several layouts, or of none.
    """
    names = list(names)
    found = [layout for layout, marker in MARKERS.items()
             if any(re.fullmatch(marker, name) for name in names)]
    if len(found) > 1:
        raise ConversionError(f'the backbone mixes the layouts {" and ".join(found)}')
    if names and not found:
        raise ConversionError('the backbone has no known layout; it begins with '
                              + ', '.join(names[:5]))
    return found[0] if found else None


def backbone_rules(layout: str | None, prefix: str = 'backbone.') -> list[Rule]:
    """Rules from a published layout to mmdet's names, both behind ``prefix``.

    Args:
        layout: Name of the published layout; None where the file has no backbone.
        prefix: Of both.
    """
    if layout is None:
        return []
    p = re.escape(prefix)
    return [Rule(p + pattern, _behind(prefix, target), **options)
            for pattern, target, options in LAYOUTS[layout]()]


def _behind(prefix, target):
    if target is None:
        return None
    if callable(target):
        return lambda match: prefix + target(match)
    return prefix + target


def _resnet_blocks() -> list[tuple]:
    """Names that torchvision, timm and mmdet share, and mmdet's older names of DCN offsets."""
    block = r'(layer[1-4]\.\d+)'
    return [
        (block + r'\.(conv[123])\.weight', r'\1.\2.weight', {}),
        (block + r'\.(bn[123])\.' + _BN, r'\1.\2.\3', {}),
        (block + r'\.(conv[12])_offset\.' + _WB, r'\1.\2.conv_offset.\3', {}),
        (block + r'\.(conv[12])\.conv_offset(?:_mask)?\.' + _WB, r'\1.\2.conv_offset.\3', {}),
        (r'fc\.' + _WB, None, dict(why=_CLASSIFIER)),
    ]


def _torchvision() -> list[tuple]:
    return [
        (r'conv1\.weight', 'conv1.weight', {}),
        (r'bn1\.' + _BN, r'bn1.\1', {}),
        (r'(layer[1-4]\.0)\.downsample\.0\.weight', r'\1.downsample.0.weight', {}),
        (r'(layer[1-4]\.0)\.downsample\.1\.' + _BN, r'\1.downsample.1.\2', {}),
        *_resnet_blocks(),
    ]


def _timm_d() -> list[tuple]:
    # mmdet's deep stem is one Sequential that the last norm belongs to.
    return [
        (r'conv1\.([036])\.weight', r'stem.\1.weight', {}),
        (r'conv1\.([14])\.' + _BN, r'stem.\1.\2', {}),
        (r'bn1\.' + _BN, r'stem.7.\1', {}),
        (r'(layer[1-4]\.0)\.downsample\.1\.weight', r'\1.downsample.1.weight', {}),
        (r'(layer[1-4]\.0)\.downsample\.2\.' + _BN, r'\1.downsample.2.\2', {}),
        *_resnet_blocks(),
    ]


def _detectron2() -> list[tuple]:
    def at(rest):
        return lambda match: f'layer{int(match[1]) - 1}.{match[2]}.' + match.expand(rest)

    block = r'res([2-5])\.(\d+)\.'
    return [
        (r'stem\.conv1\.weight', 'conv1.weight', {}),
        (r'stem\.conv1\.norm\.' + _BN, r'bn1.\1', {}),
        (block + r'conv([123])\.weight', at(r'conv\3.weight'), {}),
        (block + r'conv([123])\.norm\.' + _BN, at(r'bn\3.\4'), {}),
        (block + r'conv2_offset\.' + _WB, at(r'conv2.conv_offset.\3'), {}),
        (block + r'shortcut\.weight', at(r'downsample.0.weight'), {}),
        (block + r'shortcut\.norm\.' + _BN, at(r'downsample.1.\3'), {}),
        (r'(?:stem\.fc|linear)\.' + _WB, None, dict(why=_CLASSIFIER)),
    ]


def _caffe2() -> list[tuple]:
    suffix = dict(s='weight', b='bias')

    def norm(match):
        return f'layer{int(match[1]) - 1}.{match[2]}.bn{"abc".index(match[3]) + 1}.' \
               + suffix[match[4]]

    def conv(match):
        return f'layer{int(match[1]) - 1}.{match[2]}.conv{"abc".index(match[3]) + 1}.weight'

    block = r'res([2-5])_(\d+)_branch'
    return [
        (r'conv1_w', 'conv1.weight', {}),
        (r'(?:res_)?conv1_bn_([sb])', lambda match: 'bn1.' + suffix[match[1]], {}),
        (block + r'2([abc])_w', conv, {}),
        (block + r'2([abc])_bn_([sb])', norm, {}),
        (block + r'1_w', lambda m: f'layer{int(m[1]) - 1}.{m[2]}.downsample.0.weight', {}),
        (block + r'1_bn_([sb])',
         lambda m: f'layer{int(m[1]) - 1}.{m[2]}.downsample.1.{suffix[m[3]]}', {}),
        (r'conv1_b|res[2-5]_\d+_branch(?:1|2[abc])_b', None,
         dict(why='bias before a norm, zero in these files')),
        (r'(?:fc1000|pred)_[wb]', None, dict(why=_CLASSIFIER)),
        (r'.*_momentum|lr|weight_order', None, dict(why='state of the optimizer')),
    ]


def _pvt() -> list[tuple]:
    def stage(rest):
        return lambda match: f'layers.{int(match[1]) - 1}.' + match.expand(rest)

    block = r'block([1-4])\.(\d+)\.'
    return [
        (r'patch_embed([1-4])\.proj\.' + _WB, stage(r'0.projection.\2'), {}),
        (r'patch_embed([1-4])\.norm\.' + _WB, stage(r'0.norm.\2'), {}),
        (block + r'(norm[12])\.' + _WB, stage(r'1.\2.\3.\4'), {}),
        # Query, key and value are one tensor in torch's attention.
        (block + r'attn\.q\.' + _WB, stage(r'1.\2.attn.attn.in_proj_\3'), dict(part=0)),
        (block + r'attn\.kv\.' + _WB, stage(r'1.\2.attn.attn.in_proj_\3'), dict(part=1)),
        (block + r'attn\.proj\.' + _WB, stage(r'1.\2.attn.attn.out_proj.\3'), {}),
        (block + r'attn\.(sr|norm)\.' + _WB, stage(r'1.\2.attn.\3.\4'), {}),
        # mmdet's feed-forward layers are convolutions.
        (block + r'mlp\.fc1\.weight', stage(r'1.\2.ffn.layers.0.weight'), dict(unsqueeze=2)),
        (block + r'mlp\.fc1\.bias', stage(r'1.\2.ffn.layers.0.bias'), {}),
        (block + r'mlp\.dwconv\.dwconv\.' + _WB, stage(r'1.\2.ffn.layers.1.\3'), {}),
        (block + r'mlp\.fc2\.weight', stage(r'1.\2.ffn.layers.4.weight'), dict(unsqueeze=2)),
        (block + r'mlp\.fc2\.bias', stage(r'1.\2.ffn.layers.4.bias'), {}),
        (r'norm([1-4])\.' + _WB, stage(r'2.\2'), {}),
        (r'head\.' + _WB, None, dict(why=_CLASSIFIER)),
    ]


def _timm_darknet() -> list[tuple]:
    layer = (r'(stem\.conv1|stages\.[0-4]\.(?:conv_down|conv_exp|conv_transition(?:_b)?|'
             r'blocks\.\d+\.conv[12]))')
    return [
        (layer + r'\.conv\.weight', r'\1.conv.weight', {}),
        (layer + r'\.bn\.' + _BN, r'\1.bn.\2', {}),
        (r'head\.fc\.' + _WB, None, dict(why=_CLASSIFIER)),
    ]


LAYOUTS = {'detectron2': _detectron2, 'caffe2': _caffe2, 'torchvision': _torchvision,
           'timm-d': _timm_d, 'pvt': _pvt, 'timm-darknet': _timm_darknet}


def convert_backbone(state: Mapping[str, Tensor]) -> Conversion:
    """Convert an ImageNet file, which holds a backbone and nothing else, to mmdet's names."""
    layout = find_layout(state)
    result = apply_rules(state, backbone_rules(layout, prefix=''), f'imagenet ({layout})')
    result.layout = layout
    if layout == 'caffe2':
        _complete_affine(result)
    return result


def _complete_affine(result: Conversion) -> None:
    """Give Caffe2's affine layers, which have no statistics, those that make a norm affine."""
    for name in [name for name in result.state if re.search(r'(bn\d|downsample\.1)\.weight', name)]:
        stem, weight = name[:-len('weight')], result.state[name]
        result.state[stem + 'running_mean'] = torch.zeros_like(weight)
        # A norm divides by sqrt(var + eps).
        result.state[stem + 'running_var'] = torch.full_like(weight, 1 - 1e-5)
    result.notes.append('these weights take BGR images with mean (103.53, 116.28, 123.675) and '
                        "std 1, and ResNet(style='caffe')")
