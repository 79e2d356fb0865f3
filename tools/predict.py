"""Predict pictures to files: python tools/predict.py SOURCE --model MODEL --out DIR."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('predict')
