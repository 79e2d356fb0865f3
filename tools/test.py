"""Test a model: python tools/test.py CONFIG CHECKPOINT --eval segm [bbox]."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('test')
