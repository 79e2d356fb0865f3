"""Measure the speed of a model: python tools/benchmark.py CONFIG [CHECKPOINT] [--vs OTHER]."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('benchmark')
