"""Check a COCO data set: python tools/check_dataset.py ANN.json [IMAGES] [--clean OUT.json]."""
from mmdet_lordre.cli.main import run

if __name__ == '__main__':
    run('check-dataset')
