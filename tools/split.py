"""Divide a data set: python tools/split.py ANN --out FOLDER [--val 0.2] [--folds K]."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('split')
