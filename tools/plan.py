"""Fit a model to data: python tools/plan.py DATA.json [--val VAL.json] [--out my_config.py]."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('plan')
