"""Test a model: python tools/test.py CONFIG CHECKPOINT --eval segm [bbox]."""
import mmdet_lordre.runtime as runtime
from mmdet_lordre.runtime.test import test

if __name__ == '__main__':
    runtime.one_line_errors(test)()
