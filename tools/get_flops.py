"""Print the parameters and multiply-adds of a config's model, without weights or images."""
import argparse
import sys

from mmengine.config import DictAction

from mmdet_lordre.analysis.complexity import complexity
from mmdet_lordre.checkpoints import ConversionError
from mmdet_lordre.checkpoints.verify import load_config


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('--shape', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'),
                        help="input size (default: the test size of the config, padded)")
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        help='settings of the config to change, as key=value')
    return parser.parse_args()


def main():
    args = parse_args()
    try:
        cfg = load_config(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
        cost = complexity(cfg, tuple(args.shape) if args.shape else None)
    except (ConversionError, ValueError) as error:
        sys.exit(f'get_flops: {error}')
    print(f'input       {cost.size[0]} x {cost.size[1]}')
    print(f'parameters  {cost.params / 1e6:.2f} M')
    print(f'FLOPs       {cost.macs / 1e9:.2f} G (a multiply-add counts as one, as in mmdet; '
          'network only)')


if __name__ == '__main__':
    main()
