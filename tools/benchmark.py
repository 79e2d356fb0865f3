"""Measure the speed of a model: python tools/benchmark.py CONFIG [CHECKPOINT] [--vs OTHER]."""
import mmdet_lordre.runtime as runtime
from mmdet_lordre.runtime.benchmark import benchmark

if __name__ == '__main__':
    runtime.one_line_errors(benchmark)()
