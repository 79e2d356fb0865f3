"""Check a data set: python tools/check.py ANN [IMAGES] [--val ANN] [--json]."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('check')
