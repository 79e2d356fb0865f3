"""Draw what a model finds: python tools/demo.py IMAGES CONFIG CHECKPOINT --out DIR."""
import mmdet_lordre.runtime as runtime
from mmdet_lordre.runtime.demo import demo

if __name__ == '__main__':
    runtime.one_line_errors(demo)()
