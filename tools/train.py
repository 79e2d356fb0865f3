"""Train a model: python tools/train.py CONFIG [--train-ann a.json --val-ann b.json]."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('train')
