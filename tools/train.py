"""Train a model: python tools/train.py CONFIG [--train-ann a.json --val-ann b.json]."""
import mmdet_lordre.runtime as runtime
from mmdet_lordre.runtime.train import train

if __name__ == '__main__':
    runtime.one_line_errors(train)()
