"""Convert a published checkpoint: python tools/convert_checkpoint.py PUBLISHED.pth OUT.pth."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('convert-checkpoint')
