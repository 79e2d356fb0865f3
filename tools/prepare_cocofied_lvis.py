"""Make the LVIS-cocofied file: prepare_cocofied_lvis.py LVIS_v0.5_val.json OUT.json."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('prepare-cocofied-lvis')
