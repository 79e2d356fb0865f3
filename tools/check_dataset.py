"""The same as check.py."""
from mmdet_lordre.cli.main import run

if __name__ == '__main__':
    run('check-dataset')
