"""Print the parameters and multiply-adds of a config's model, without weights or images."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('get-flops')
