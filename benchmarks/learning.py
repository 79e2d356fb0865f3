"""A race from scratch: models of like size, equal CPU seconds, the same data, several seeds.

    python tools/make_shapes.py data/shapes --train 8000 --val 1000
    python benchmarks/learning.py shapes --data data/shapes --seconds 840 --seeds 0 1 2 3 4
    python benchmarks/learning.py nuclei --data FOLDER --seconds 1080 --runners lordre solov2
    python benchmarks/learning.py nuts --data FOLDER --seconds 900
    python benchmarks/learning.py shapes --data data/shapes --runners lordre \
        --name lordre-lr3 --cfg-options optim_wrapper.optimizer.lr=0.003

The clock is the user time of one core (one thread) spent in training: data and steps, no
evaluation. All learning rates rise over 100 iterations and fall along a cosine by seconds used.
``nuclei`` holds ``train.json``, ``val.json`` and ``images/``; ``nuts`` holds ``annotations.json``
(COCO) and ``images/``, of which three images in turn are held out. Each run leaves a JSON file in
``--out`` and is not run again while that lies there; the table and the curve take all of them.
"""
import argparse
import json
import os
import sys
import tempfile
import traceback
from collections import defaultdict

import torch
from learning_race import run
from learning_runners import FOLDS, RUNNERS, race_config
from mmengine.config import DictAction
from scipy import stats

import mmdet_lordre  # noqa: F401 - registers everything

#: mmcv's RoIAlign has no bfloat16 on the CPU
NO_AMP = ('mmdet-mask-rcnn',)
FIGURES = ('AP', 'AP50', 'right', 'recall', 'duplicates')


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('set', choices=RUNNERS)
    parser.add_argument('--data', required=True, help='folder of the data set')
    parser.add_argument('--seconds', type=float, default=840, help='CPU seconds of training')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    parser.add_argument('--folds', type=int, nargs='+', help='of nuts; default: all six')
    parser.add_argument('--runners', nargs='+', metavar='NAME_OR_CONFIG',
                        help='default: all of ' + ', '.join(RUNNERS['shapes']))
    parser.add_argument('--name', help='name in the table, for one runner with other options')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    parser.add_argument('--points', type=int, default=4, help='evaluations along the way')
    parser.add_argument('--images', type=int, default=1000, help='held-out images of the last')
    parser.add_argument('--images-before', type=int, default=200, help='of those before it')
    parser.add_argument('--out', default='work_dirs/learning')
    parser.add_argument('--save', action='store_true', help='keep the weights beside the figures')
    parser.add_argument('--table', action='store_true', help='only the table of what is there')
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    torch.set_num_threads(1)
    folder = os.path.join(args.out, f'{args.set}-{args.seconds:g}s')
    os.makedirs(folder, exist_ok=True)
    folds = args.folds if args.folds is not None else range(FOLDS[args.set])
    for runner in () if args.table else args.runners or RUNNERS[args.set]:
        name = args.name or os.path.splitext(os.path.basename(runner))[0]
        for seed in args.seeds:
            for fold in folds:
                path = os.path.join(folder, f'{name}-seed{seed}-fold{fold}.json')
                if not os.path.exists(path):
                    one(args, runner, name, seed, fold, path)
    results = read(folder)
    if not results:
        sys.exit('error: no run has ended; nothing to show')
    print(table(results))
    print(f'curve: {draw(results, folder, args.set)}')


def one(args, runner, name, seed, fold, path):
    """A run, and its file; a failure is told and the race goes on."""
    print(f'== {name}, seed {seed}, fold {fold}', flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            cfg, truth = race_config(args.set, runner, args.data, fold, folder, args.cfg_options)
            curve = run(cfg, truth, seed, args.seconds, args.points, args.images, folder,
                        amp=runner not in NO_AMP, images_before=args.images_before,
                        save=path[:-5] + '.pth' if args.save else None)
        except Exception:
            traceback.print_exc()
            return
    with open(path, 'w') as file:
        json.dump(dict(name=name, runner=runner, set=args.set, seed=seed, fold=fold,
                       seconds=args.seconds, options=str(args.cfg_options), curve=curve), file,
                  indent=1)


def read(folder):
    """name -> the runs in a folder."""
    found = defaultdict(list)
    for entry in sorted(os.listdir(folder)):
        if entry.endswith('.json'):
            with open(os.path.join(folder, entry)) as file:
                one_run = json.load(file)
            found[one_run['name']].append(one_run)
    return dict(found)


def interval(values):
    """Half the width of the 95 % interval of a mean (Student's t); NaN for one value."""
    if len(values) < 2:
        return float('nan')
    return float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1))


def table(results):
    """Means over runs as a Markdown table, best first."""
    lines = ['| model | runs | AP | 95 % | AP50 | class right | recall | duplicates an object '
             '| iterations |', '|---' * 9 + '|']
    rows = []
    for name, runs in results.items():
        last = [one_run['curve'][-1] for one_run in runs]
        mean = {key: sum(p[key] for p in last) / len(last) for key in (*FIGURES, 'iterations')}
        rows.append((mean['AP'], f'| {name} | {len(runs)} | {mean["AP"]:.3f} | ± '
                     f'{interval([p["AP"] for p in last]):.3f} | {mean["AP50"]:.3f} | '
                     f'{mean["right"]:.3f} | {mean["recall"]:.3f} | {mean["duplicates"]:.3f} | '
                     f'{mean["iterations"]:.0f} |'))
    return '\n'.join(lines + [row for _, row in sorted(rows, reverse=True)])


def draw(results, folder, title):
    """AP over seconds, the mean of each model and the range of its runs; returns the file."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name, runs in sorted(results.items(), key=lambda item: -item[1][0]['curve'][-1]['AP']):
        points = list(zip(*(one_run['curve'] for one_run in runs)))
        seconds = [sum(p['seconds'] for p in same) / len(same) for same in points]
        values = [[p['AP'] for p in same] for same in points]
        line, = axes.plot(seconds, [sum(v) / len(v) for v in values], marker='o', label=name)
        axes.fill_between(seconds, [min(v) for v in values], [max(v) for v in values],
                          color=line.get_color(), alpha=0.15)
    axes.set(xlabel='CPU seconds of training (one core)', ylabel='mask AP', title=title)
    axes.legend()
    axes.grid(alpha=0.3)
    path = os.path.join(folder, 'curve.png')
    figure.savefig(path, dpi=100, bbox_inches='tight')
    pyplot.close(figure)
    return path


if __name__ == '__main__':
    main()
