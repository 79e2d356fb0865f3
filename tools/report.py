"""Show how good a model is: python tools/report.py RUN, or --results JSON --ann JSON."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('report')
