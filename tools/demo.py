"""Draw what a model finds: python tools/demo.py IMAGES CONFIG CHECKPOINT --out DIR."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('demo')
