"""Files of the SparseInst authors (https://github.com/hustvl/SparseInst), all backbones."""
from .formats import Format, register
from .rules import Rule

_WB = r'(weight|bias)'

SPARSEINST = register(Format(
    name='sparseinst',
    family='lordre',
    describe='SparseInst (detectron2), all its backbones',
    marker=r'encoder\.fpn_laterals\.|decoder\.(inst|mask)_branch\.',
    classifier=r'decoder\.inst_branch\.cls_score\.weight',
    rules=(
        Rule(r'encoder\.(fpn_laterals|fpn_outputs)\.([0-2])\.' + _WB, r'neck.\1.\2.\3'),
        Rule(r'encoder\.ppm\.stages\.([0-3])\.1\.' + _WB, r'neck.ppm.stages.\1.1.\2'),
        Rule(r'encoder\.(ppm\.bottleneck|fusion)\.' + _WB, r'neck.\1.\2'),
        Rule(r'decoder\.inst_branch\.softmax_bias', 'mask_head.inst_branch.softmax_bias'),
        Rule(r'decoder\.(inst_branch\.inst_convs|mask_branch\.mask_convs)\.([0246])\.' + _WB,
             r'mask_head.\1.\2.\3'),
        Rule(r'decoder\.inst_branch\.(iam_conv|fc|cls_score|mask_kernel|objectness)\.' + _WB,
             r'mask_head.inst_branch.\1.\2'),
        Rule(r'decoder\.mask_branch\.projection\.' + _WB, r'mask_head.mask_branch.projection.\1'),
        Rule(r'pixel_(mean|std)', None, why='a setting of data_preprocessor in the config'),
    ),
))
