"""Peak memory of training and testing against the number of instances and the size of the image.

    python benchmarks/memory.py                            # everything, on a CPU
    python benchmarks/memory.py lordre --instances 1 1000  # a part
    python benchmarks/memory.py --plot memory.json         # draw what was measured before

Every point is a process of its own: it writes an image and its annotations, loads them by the
config's own pipeline, and makes one training step (loss and gradients, without the optimizer's
state) or one test with results encoded for COCO. What counts is the peak of the process's resident
set, libraries included; 'start' is what it holds before the image is loaded. Weights are random,
so in testing every detection up to the limit is kept. Needs Linux (/proc).
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from r50 import CONFIGS

INSTANCES = (1, 3, 10, 30, 100, 300, 1000)
TRAIN_SIZES = ('320x240', '640x480', '960x720', '1280x960')
TEST_SIZES = ('640x480', '1280x960', '2000x1500', '4000x3000')
#: The step in size is measured with so many instances, the step in instances at this size.
FIXED_INSTANCES, FIXED_SIZE = 10, '640x480'
LIMIT = 4 * 2**30


def write_data(folder, width, height, count):
    """One image and ``count`` polygons of all sizes; returns the annotation file."""
    import cv2
    import numpy as np
    rng = np.random.default_rng(count)
    cv2.imwrite(f'{folder}/image.jpg', rng.integers(0, 255, (height, width, 3), np.uint8))
    angles = np.linspace(0, 2 * np.pi, 25)[:-1]
    annotations = []
    for number in range(count):
        radius = min(width, height) * 0.02 * 16 ** rng.random()
        x, y = rng.random(2) * (width - 2 * radius, height - 2 * radius) + radius
        points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)
        annotations.append(dict(
            id=number + 1, image_id=1, category_id=1 + number % 80, iscrowd=0,
            area=float(np.pi * radius**2), segmentation=[points.round(1).ravel().tolist()],
            bbox=[x - radius, y - radius, 2 * radius, 2 * radius]))
    path = f'{folder}/data.json'
    with open(path, 'w') as file:
        json.dump(dict(images=[dict(id=1, file_name='image.jpg', width=width, height=height)],
                       annotations=annotations,
                       categories=[dict(id=i + 1, name=f'c{i}') for i in range(80)]), file)
    return path


def measure(family, mode, width, height, count):
    """Peak bytes of this process and bytes at its start; prints them as JSON."""
    import torch
    from mmdet.registry import DATASETS, MODELS
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import init_default_scope

    import mmdet_lordre  # noqa: F401 - registers everything
    from mmdet_lordre.analysis.speed import peak_memory
    from mmdet_lordre.config.reading import dicts_in
    from mmdet_lordre.evaluation import CocoMaskMetric
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg = Config.fromfile(CONFIGS[family])
    for node in dicts_in(cfg.model):
        node.pop('init_cfg', None)
    if mode == 'test':
        cfg.model.test_cfg.update(score_thr=0.0, max_per_img=count)
        if 'filter_thr' in cfg.model.test_cfg:
            cfg.model.test_cfg.filter_thr = 0.0
    model = MODELS.build(cfg.model).train(mode == 'train')
    with tempfile.TemporaryDirectory() as folder:
        path = write_data(folder, width, height, count if mode == 'train' else 1)
        dataset = cfg[f'{mode}_dataloader'].dataset
        dataset.update(ann_file=path, data_root='', data_prefix=dict(img=folder),
                       metainfo=dict(classes=[f'c{i}' for i in range(80)]))
        if mode == 'train':
            for step in dataset.pipeline:
                for key in ('scale', 'scales'):  # the network sees the image as it is
                    if key in step:
                        step[key] = (width, height) if key == 'scale' else [(width, height)]
        dataset = DATASETS.build(dataset)
        start = resident()
        began = time.perf_counter()
        batch = pseudo_collate([dataset[0]])
        if mode == 'train':
            data = model.data_preprocessor(batch, training=True)
            total, _ = model.parse_losses(model(**data, mode='loss'))
            total.backward()
            found = len(data['data_samples'][0].gt_instances)
        else:
            with torch.no_grad():
                results = model.test_step(batch)
            found = len(results[0].pred_instances)
            metric = CocoMaskMetric(ann_file=path, metric='segm')
            metric.dataset_meta = dataset.metainfo
            metric.process(batch, [sample.to_dict() for sample in results])
        seconds = time.perf_counter() - began
    peak = round(peak_memory('cpu') * 2**20)
    print(json.dumps(dict(family=family, mode=mode, width=width, height=height, count=count,
                          found=found, start=start, peak=peak, seconds=seconds)))


def resident():
    """Bytes that this process holds now."""
    pages = Path('/proc/self/statm').read_text().split()[1]
    return int(pages) * os.sysconf('SC_PAGE_SIZE')


def run(family, mode, size, count):
    """A point in a process of its own."""
    width, height = (int(n) for n in size.split('x'))
    done = subprocess.run([sys.executable, __file__, '--point', family, mode, str(width),
                           str(height), str(count)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"family"')]
    if done.returncode or not lines:
        sys.exit(f'{family} {mode} {size} {count}: status {done.returncode}\n{done.stderr[-2000:]}')
    point = json.loads(lines[-1])
    above = point['peak'] - point['start']
    print(f'{family:12s} {mode:5s} {size:>9s} {count:5d} {point["found"]:5d} '
          f'{point["start"] / 2**20:7.0f} {above / 2**20:7.0f} {point["peak"] / 2**20:7.0f} '
          f'{point["seconds"]:7.1f}', flush=True)
    return point


def points(args):
    """(mode, size, count) of all that is to be measured for a family."""
    found = [('train', FIXED_SIZE, count) for count in args.instances]
    found += [('train', size, FIXED_INSTANCES) for size in args.train_sizes]
    found += [('test', '640x480', count) for count in args.instances if count <= 100]
    found += [('test', size, 100) for size in args.test_sizes]
    return [point for point in dict.fromkeys(found) if point[0] in args.modes]


def draw(measured, path):
    """Peaks against instances (training, testing) and against pixels (training, testing)."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), sharey=True)
    panels = [
        ('training, 640x480', 'instances', 'log', lambda p: p['count'],
         lambda p: p['mode'] == 'train' and (p['width'], p['height']) == (640, 480)),
        (f'training, {FIXED_INSTANCES} instances', 'megapixels', 'linear',
         lambda p: p['width'] * p['height'] / 1e6,
         lambda p: p['mode'] == 'train' and p['count'] == FIXED_INSTANCES),
        ('testing, 100 detections', 'megapixels of the original image', 'log',
         lambda p: p['width'] * p['height'] / 1e6,
         lambda p: p['mode'] == 'test' and p['count'] == 100)]
    for axis, (title, label, scale, x, wanted) in zip(axes, panels, strict=True):
        for family in CONFIGS:
            line = sorted((x(p), p['peak'] / 2**30) for p in measured
                          if p['family'] == family and wanted(p))
            if line:
                axis.plot(*zip(*line, strict=True), marker='o', markersize=3, label=family)
        axis.set(title=title, xlabel=label, xscale=scale)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel('peak resident set (GiB)')
    axes[0].set_ylim(0, 1.05 * max(LIMIT, *(p['peak'] for p in measured)) / 2**30)
    axes[2].axhline(LIMIT / 2**30, color='0.5', linestyle='--')
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    print(f'drawn: {path}')


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('families', nargs='*', metavar='FAMILY', help=', '.join(CONFIGS))
    parser.add_argument('--instances', nargs='+', type=int, default=INSTANCES)
    parser.add_argument('--train-sizes', nargs='*', default=TRAIN_SIZES, metavar='WxH')
    parser.add_argument('--test-sizes', nargs='*', default=TEST_SIZES, metavar='WxH')
    parser.add_argument('--modes', nargs='+', choices=['train', 'test'],
                        default=['train', 'test'])
    parser.add_argument('--json', default='memory.json', help='where the figures go')
    parser.add_argument('--out', default='memory.png', help='where the picture goes')
    parser.add_argument('--overwrite', action='store_true', help='replace both, if there already')
    parser.add_argument('--plot', metavar='JSON', help='only draw this file of figures')
    parser.add_argument('--point', nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        family, mode, *numbers = args.point
        return measure(family, mode, *map(int, numbers))
    unknown = set(args.families) - set(CONFIGS)
    if unknown:
        parser.error(f'unknown family {", ".join(unknown)}: choose from {", ".join(CONFIGS)}')
    for path in (args.out,) if args.plot else (args.json, args.out):
        if os.path.exists(path) and not args.overwrite:
            parser.error(f'{path} is there already: choose another name, or replace it with '
                         '--overwrite')
    if args.plot:
        return draw(json.loads(Path(args.plot).read_text()), args.out)
    print('family       mode       size  inst. found start/MiB above    peak  seconds')
    measured = []
    for family in args.families or CONFIGS:
        for mode, size, count in points(args):
            measured.append(run(family, mode, size, count))
            Path(args.json).write_text(json.dumps(measured))
    large = [p for p in measured if p['mode'] == 'test' and p['width'] >= 4000]
    for point in large:
        verdict = 'within' if point['peak'] <= LIMIT else 'NOT within'
        print(f'{point["family"]}: {point["width"]}x{point["height"]} with {point["found"]} '
              f'detections tested {verdict} {LIMIT / 2**30:.0f} GiB')
    draw(measured, args.out)


if __name__ == '__main__':
    main()
