"""The R-50 configuration of each method that the benchmarks of all methods run."""
from pathlib import Path

_CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
CONFIGS = dict(
    lordre=_CONFIGS / 'lordre/lordre_r50_giam_8xb8-270k_coco.py',
    solov2=_CONFIGS / 'solov2/solov2_r50_fpn_1x_coco.py',
    aggmask=_CONFIGS / 'aggmask/aggmask_r50_fpn.py',
    aggmask_star=_CONFIGS / 'aggmask/aggmask_star_r50_fpn.py',
    polarmask=_CONFIGS / 'polarmask/polarmask_r50-caffe_fpn_gn-head_1x_coco.py')
