"""Files of the grid family: SOLO, SOLOv2 and AggMask, by their authors and by mmdet 2.x."""
from .formats import Format, register
from .rules import Rule

_WB = r'(weight|bias)'
# A tower's convolution, its GroupNorm, and the offsets where it is deformable, of whichever
# version of mmdet 1.x.
_LAYER = r'(conv\.weight|conv\.bias|gn\.weight|gn\.bias)'
_OFFSET = r'conv\.conv_offset(?:_mask)?\.' + _WB
# AggMask's heads have solo_cate as SOLO's; these names tell them apart.
_AGGMASK_ONLY = r'bbox_head\.(learned_weights|context_fusion_convs)\.'

NECK = (
    Rule(r'neck\.(lateral_convs|fpn_convs)\.(\d)\.conv\.' + _WB, r'neck.\1.\2.conv.\3'),
)


def tower(published: str, ours: str) -> tuple[Rule, ...]:
    """Rules of a numbered tower of ``ConvModule``; ``published`` is a regular expression."""
    return (Rule(published + r'\.(\d)\.' + _LAYER, ours + r'.\1.\2'),
            Rule(published + r'\.(\d)\.' + _OFFSET, ours + r'.\1.conv.conv_offset.\2'))


def _feature_branch(published: str, last: str) -> tuple[Rule, ...]:
    ours = 'mask_head.mask_feature_head'
    level = published + r'\.convs_all_levels\.([0-3])\.conv([0-2])\.'
    return (
        Rule(level + _LAYER, ours + r'.convs_all_levels.\1.conv\2.\3'),
        Rule(level + _OFFSET, ours + r'.convs_all_levels.\1.conv\2.conv.conv_offset.\3'),
        Rule(published + r'\.' + last + r'\.' + _LAYER, ours + r'.conv_pred.\1'),
        Rule(published + r'\.' + last + r'\.' + _OFFSET, ours + r'.conv_pred.conv.conv_offset.\1'),
    )


def _single(published: str, ours: str) -> Rule:
    return Rule(published + r'\.' + _WB, ours + r'.\1')


SOLO = register(Format(
    name='solo',
    family='solov2',
    describe='SOLO, Decoupled SOLO and SOLOv2 by their authors (mmdet 1.x)',
    marker=r'bbox_head\.d?solo_cate\.|mask_feat_head\.',
    unless=_AGGMASK_ONLY,
    classifier=r'bbox_head\.d?solo_cate\.weight',
    rules=(
        *NECK,
        *tower(r'bbox_head\.cate_convs', 'mask_head.cls_convs'),
        *tower(r'bbox_head\.kernel_convs', 'mask_head.kernel_convs'),
        _single(r'bbox_head\.d?solo_cate', 'mask_head.conv_cls'),
        _single(r'bbox_head\.solo_kernel', 'mask_head.conv_kernel'),
        *_feature_branch(r'mask_feat_head', r'conv_pred\.0'),
        *tower(r'bbox_head\.ins_convs', 'mask_head.mask_convs'),
        *tower(r'bbox_head\.ins_convs_x', 'mask_head.mask_convs_x'),
        *tower(r'bbox_head\.ins_convs_y', 'mask_head.mask_convs_y'),
        Rule(r'bbox_head\.solo_ins_list\.([0-4])\.' + _WB, r'mask_head.conv_mask_list.\1.\2'),
        Rule(r'bbox_head\.dsolo_ins_list_([xy])\.([0-4])\.' + _WB,
             r'mask_head.conv_mask_list_\1.\2.\3'),
    ),
))

MMDET = register(Format(
    name='mmdet',
    family='solov2',
    describe='SOLOv2 of the zoo of mmdet 2.x and 3.x',
    marker=r'mask_head\.(conv_cls|mask_feature_head)\.',
    classifier=r'mask_head\.conv_cls\.weight',
    rules=(
        *NECK,
        *tower(r'mask_head\.cls_convs', 'mask_head.cls_convs'),
        *tower(r'mask_head\.kernel_convs', 'mask_head.kernel_convs'),
        _single(r'mask_head\.conv_cls', 'mask_head.conv_cls'),
        _single(r'mask_head\.conv_kernel', 'mask_head.conv_kernel'),
        *_feature_branch(r'mask_head\.mask_feature_head', 'conv_pred'),
        Rule(r'data_preprocessor\.(mean|std)', None,
             why='a setting of data_preprocessor in the config'),
    ),
))

_AGG = r'bbox_head\.'

AGGMASK = register(Format(
    name='aggmask',
    family='aggmask',
    describe='AggMask and AggMask* by their authors (mmdet 1.x)',
    marker=_AGGMASK_ONLY,
    classifier=r'bbox_head\.solo_cate\.weight',
    rules=(
        *NECK,
        *(rule for name in ('cate_convs', 'ins_convs', 'kernel_convs', 'kernel_convs_convcomb')
          for rule in tower(_AGG + name, f'mask_head.{name}')),
        Rule(_AGG + r'feature_convs\.([0-3])\.conv([0-2])\.' + _LAYER,
             r'mask_head.feature_convs.\1.conv\2.\3'),
        Rule(_AGG + r'solo_mask\.' + _LAYER, r'mask_head.solo_mask.\1'),
        Rule(_AGG + r'solo_ins_list\.([0-4])\.' + _WB, r'mask_head.solo_ins_list.\1.\2'),
        Rule(_AGG + r'(solo_cate|solo_kernel|learned_weights)\.' + _WB, r'mask_head.\1.\2'),
        Rule(_AGG + r'context_fusion_convs\.([013])\.' + _WB,
             r'mask_head.context_fusion_convs.\1.\2'),
    ),
))
