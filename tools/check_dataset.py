"""The same as check.py."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('check-dataset')
