"""Check a COCO data set: python tools/check_dataset.py ANN.json [IMAGES] [--clean OUT.json]."""
import mmdet_lordre.runtime as runtime
from mmdet_lordre.runtime.check_dataset import check_dataset

if __name__ == '__main__':
    runtime.one_line_errors(check_dataset)()
