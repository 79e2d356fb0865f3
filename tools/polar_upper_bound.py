"""Print the AP and IoU that perfect rays would reach on a COCO file."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('polar-upper-bound')
