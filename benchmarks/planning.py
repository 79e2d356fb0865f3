"""Planned configs against the README's advice and mmdet's models, at equal CPU seconds.

    python benchmarks/planning.py --seconds 600 --seeds 0 1
    python benchmarks/planning.py --kinds tiny_many holes --runners planned advice
    python benchmarks/planning.py --kinds nuts --nuts FOLDER
    python benchmarks/planning.py --kinds nuclei --nuclei FOLDER --runners all

Nine kinds of data that are drawn here from a seed, photographs of nuts (a folder with
``annotations.json`` and ``images/``) in six folds of three, and pictures of nuclei (``train.json``,
``val.json`` and ``images/``). On each of them ``lordre plan`` fits a
config for the same seconds; ``all`` or a family trains what it fits to that instead of the
recommended one.
The clock is the user time of one core spent in training (benchmarks/learning.py). Each run leaves a
JSON file in ``--out`` and is not run again while that lies there; the table takes all of them.
"""
import argparse
import json
import os
import tempfile

import numpy as np
import torch
from learning_race import run
from learning_runners import ROOT, race_config
from planning_data import KINDS, make
from scipy import stats

import mmdet_lordre  # noqa: F401 - registers everything
from mmdet_lordre.config.own_data import use_own_data
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.files import atomic_write
from mmdet_lordre.planning.fit import FAMILIES
from mmdet_lordre.planning.objects import read_both
from mmdet_lordre.planning.plan import config_of, make_plan

#: Photographs, of which there must be a folder.
REAL = ('nuts', 'nuclei')
RUNNERS = ('planned', 'advice', 'mmdet-mask-rcnn', 'mmdet-rtmdet-ins')
#: What configs/lordre/README.md says to someone with few data of their own: first, and for many.
ADVICE = {'advice': 'lordre/lordre_r18_giam_small-data.py',
          'places': 'lordre/lordre-places_r18_small-data.py'}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kinds', nargs='+', choices=[*KINDS, *REAL], default=list(KINDS))
    parser.add_argument('--runners', nargs='+', choices=[*RUNNERS, 'places', 'all', *FAMILIES],
                        default=list(RUNNERS))
    parser.add_argument('--seconds', type=float, default=600)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--images', type=int, nargs=2, default=(200, 100), metavar=('TRAIN', 'VAL'))
    parser.add_argument('--data', default='data/planning', help='where the kinds are drawn')
    parser.add_argument('--nuts', help='folder of the nuts')
    parser.add_argument('--nuclei', help='folder of the nuclei')
    parser.add_argument('--folds', type=int, nargs='+', default=list(range(6)))
    parser.add_argument('--out', default='work_dirs/planning')
    parser.add_argument('--table', action='store_true', help='only the table of what is there')
    args = parser.parse_args(argv)
    for kind in set(REAL).intersection(args.kinds):
        if not getattr(args, kind):
            parser.error(f'--kinds {kind} needs --{kind} FOLDER')
    torch.set_num_threads(1)
    folder = os.path.join(args.out, f'{args.seconds:g}s')
    os.makedirs(folder, exist_ok=True)
    runners = [n for r in args.runners for n in (FAMILIES if r == 'all' else [r])]
    for kind in () if args.table else args.kinds:
        for seed in args.seeds:
            for fold in args.folds if kind == 'nuts' else [0]:
                for runner in runners:
                    path = os.path.join(folder, f'{kind}-{runner}-seed{seed}-fold{fold}.json')
                    if not os.path.exists(path):
                        one(args, kind, runner, seed, fold, path)
    print(table(folder))


def one(args, kind, runner, seed, fold, path):
    """A run, and its file."""
    print(f'== {kind}, {runner}, seed {seed}, fold {fold}', flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if kind in REAL:
            base = getattr(args, kind)
            whole, judged = race_config(kind, 'solov2', base, fold, folder)
            files = [whole.train_dataloader.dataset.ann_file, judged]
            images = [os.path.join(base, 'images')] * 2
        else:
            base = make(kind, args.data, *args.images)
            files = [os.path.join(base, f'{split}.json') for split in ('train', 'val')]
            images = [base, base]
        cfg, notes = config(runner, files, images, args.seconds / 60)
        curve = run(cfg, files[1], seed, args.seconds, 1, 10**6, folder,
                    amp=runner != 'mmdet-mask-rcnn')
    with atomic_write(path) as unfinished, open(unfinished, 'w') as file:
        json.dump(dict(notes, kind=kind, runner=runner, seed=seed, fold=fold, curve=curve), file)


def config(runner, files, images, minutes):
    """The config of a runner, and what is noted of it."""
    if runner == 'planned' or runner in FAMILIES:
        train, val = read_both(files[0], images[0], files[1], images[1])
        plan = make_plan(train, val, minutes=minutes,
                         families=None if runner == 'planned' else [runner])
        return config_of(plan.configs[plan.best]), dict(
            family=plan.best, planning=plan.seconds, ceiling=plan.ceilings[plan.best].ap)
    if runner in ADVICE:
        cfg = load_config(os.path.join(ROOT, ADVICE[runner]))
    else:
        cfg, _ = race_config('nuclei', runner, '', 0, '', given=(files, images))
    use_own_data(cfg, files[0], files[1], images[0], images[1])
    return cfg, {}


def table(folder):
    """AP of every runner on every kind: the mean over seeds and folds, and its 95 % interval."""
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name)) as file:
            one = json.load(file)
        found.setdefault(one['kind'], {}).setdefault(one['runner'], []).append(
            (one['curve'][-1]['AP'], one.get('family')))
    names = sorted({runner for kinds in found.values() for runner in kinds})
    lines = ['| data | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
    for kind, runs in found.items():
        cells = []
        for name in names:
            values = [ap for ap, _ in runs.get(name, ())]
            families = {family for _, family in runs.get(name, ()) if family}
            text = f'{np.mean(values):.3f}' if values else '-'
            if len(values) > 1:
                half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
                text += f' ± {half:.3f}'
            cells.append(text + (f' ({", ".join(sorted(families))})' if families and
                                 name == 'planned' else ''))
        lines.append(f'| {kind} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
