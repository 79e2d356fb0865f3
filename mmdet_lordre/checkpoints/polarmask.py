"""Files of the PolarMask authors (https://github.com/xieenze/PolarMask, mmdet 1.x)."""
from .formats import Format, register
from .grid_family import NECK
from .rules import Rule

_WB = r'(weight|bias)'
_TOWER = r'bbox_head\.(cls|reg|mask)_convs\.'


def _flat(last: str):
    """Target of a layer of a flat list: convolution, norm and ReLU in turn, three a step."""
    return lambda match: (f'bbox_head.{match[1]}_convs.{int(match[2]) // 3}.'
                          + match.expand(last))


POLARMASK = register(Format(
    name='polarmask',
    family='polarmask',
    describe='PolarMask by its authors (mmdet 1.x)',
    marker=r'bbox_head\.polar_(cls|reg|mask|centerness)\.',
    classifier=r'bbox_head\.polar_cls\.weight',
    rules=(
        *NECK,
        Rule(_TOWER + r'([0-3])\.(conv|gn)\.' + _WB, r'bbox_head.\1_convs.\2.\3.\4'),
        # Deformable towers are flat lists.
        Rule(_TOWER + r'(0|3|6|9)\.' + _WB, _flat(r'conv.\3')),
        Rule(_TOWER + r'(0|3|6|9)\.conv_offset(?:_mask)?\.' + _WB, _flat(r'conv.conv_offset.\3')),
        Rule(_TOWER + r'(1|4|7|10)\.' + _WB, _flat(r'gn.\3')),
        Rule(r'bbox_head\.polar_(cls|reg|mask|centerness)\.' + _WB, r'bbox_head.polar_\1.\2'),
        Rule(r'bbox_head\.scales_(bbox|mask)\.([0-4])\.scale', r'bbox_head.scales_\1.\2.scale'),
    ),
))
