"""Draw a data set: python tools/browse.py ANN --out FOLDER."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('browse')
