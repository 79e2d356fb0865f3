"""Weights that a backbone begins with: a file that is given, or one that is in the cache."""
import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from ..checkpoints.partial_load import state_dict_of
from ..checkpoints.safe_load import read_checkpoint
from ..errors import UserError

#: Blocks of the stages of each ResNet, and whether they are bottlenecks.
_DEPTHS = {(False, (2, 2, 2, 2)): 18, (False, (3, 4, 6, 3)): 34, (True, (3, 4, 6, 3)): 50,
           (True, (3, 4, 23, 3)): 101, (True, (3, 8, 36, 3)): 152}


@dataclass(frozen=True)
class Pretrained:
    """A ResNet in a file.

    Attributes:
        path: Of the file.
        prefix: Of its names: ``''``, or ``'backbone.'`` in a file of a whole detector.
        depth: 18, 34, 50, ...
        base: Channels of the first stage.
        deep_stem: Whether it begins with three convolutions in place of one.
        stages: That the file has.
    """
    path: str
    prefix: str
    depth: int
    base: int
    deep_stem: bool
    stages: int


def read_pretrained(path: str | os.PathLike) -> Pretrained:
    """Look into a file of weights.

    Args:
        path: Of a ResNet, or of a detector with one, in the names of mmdet or torchvision.

    Raises:
        UserError: It cannot be read, or holds no such network.
    """
    path = os.path.abspath(os.fspath(path))
    state = state_dict_of(read_checkpoint(path), path)
    prefix = 'backbone.' if any(name.startswith('backbone.') for name in state) else ''
    state = {name.removeprefix(prefix): value for name, value in state.items()}
    blocks = [{int(name.split('.')[1]) for name in state
               if re.match(rf'layer{stage}\.\d+\.', name)} for stage in range(1, 5)]
    counts = tuple(len(found) for found in blocks if found)
    bottleneck = 'layer1.0.conv3.weight' in state
    depth = next((depth for (kind, known), depth in _DEPTHS.items()
                  if counts and kind == bottleneck and known[:len(counts)] == counts), None)
    stem = state.get('stem.6.weight', state.get('conv1.weight'))
    first = state.get('layer1.0.conv1.weight')
    if depth is None or stem is None or first is None or len(stem) != len(first):
        raise UserError(f'--pretrained: {path} holds no ResNet of 18 to 152 layers in the names of '
                        'mmdet or torchvision (lordre convert-checkpoint converts others)')
    return Pretrained(path, prefix, depth, len(first), 'stem.6.weight' in state, len(counts))


def find_pretrained(depth: int, base: int) -> tuple[str | None, str]:
    """A file of ImageNet weights in torch's cache that fits a ResNet.

    Args:
        depth: Of the ResNet.
        base: Channels of its first stage.

    Returns:
        Its path, or None, and the reason in words.
    """
    if base != 64:
        return None, f'from scratch: no published ResNet-{depth} has {base} channels'
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    found = sorted(folder.glob(f'resnet{depth}-*.pth'))
    if found:
        return str(found[-1]), f'ImageNet weights of {found[-1]}'
    return None, (f'from scratch: no resnet{depth}-*.pth in {folder} (--pretrained FILE names '
                  'another)')
