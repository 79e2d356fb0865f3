"""Convert annotations: python tools/convert_data.py SRC DST [--to yolo]."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('convert-data')
