"""Images a second of one data-loading worker: masks drawn at the end beside mmdet's pipeline.

    python benchmarks/data_loading.py [--images 40] [--instances 10 50] [--repeat 3]

Images of COCO's size (640 x 480, JPEG) with polygons are made, loaded, resized to 1333 x 800 and
flipped, one after another as a worker does. Each way gives the same masks, which is checked first,
pixel by pixel and target by target. The least time of a few rounds counts.
"""
import argparse
import platform
import tempfile
import time
from pathlib import Path

import cv2
import mmcv
import numpy as np
from mmcv.transforms import Compose
from mmengine.registry import init_default_scope

import mmdet_lordre  # noqa: F401 - registers everything
from mmdet_lordre.masks import LazyMasks

HEIGHT, WIDTH = 480, 640
RESIZE = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
FLIP = dict(type='RandomFlip', prob=1.0)
ENDS = dict(SOLOv2=dict(type='GridMaskTargets', factors=4),
            AggMask=dict(type='GridMaskTargets', factors=(4, 8, 16)),
            Lordre=dict(type='ShrinkMasks', factor=4),
            PolarMask=dict(type='ExtractContours'))


def make_images(folder, count, instances, seed=0):
    """Records of images on disk as mmdet's data sets give them."""
    rng = np.random.default_rng(seed)
    records = []
    for k in range(count):
        coarse = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 8, image.shape)
        path = str(Path(folder) / f'{instances}_{k}.jpg')
        cv2.imwrite(path, np.clip(image + noise, 0, 255).astype(np.uint8))
        found = [_instance(rng) for _ in range(instances)]
        records.append(dict(img_path=path, img_id=k, height=HEIGHT, width=WIDTH,
                            instances=found))
    return records


def _instance(rng):
    """A closed curve of one or two parts; sides are log-uniform from 16 px to half the image's."""
    half = np.exp(rng.uniform(np.log(8), np.log([0.25 * WIDTH, 0.25 * HEIGHT])))
    center = rng.uniform(half, np.array([WIDTH, HEIGHT]) - half)
    parts = []
    for part in range(1 + (rng.random() < 0.1)):
        corners = int(rng.integers(15, 45))
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        reach = rng.uniform(0.7, 1, (corners, 1)) * (0.5 if part else 1)
        points = center + half * reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        # COCO's coordinates have two digits
        parts.append(np.round(points, 2).ravel().tolist())
    low, high = center - half, center + half
    return dict(bbox=[*low, *high], bbox_label=int(rng.integers(80)), mask=parts, ignore_flag=0)


def pipeline(load, end=None):
    """Load, resize, flip, turn masks into targets where asked to, pack."""
    steps = [dict(type='LoadImageFromFile'), load, RESIZE, FLIP]
    return Compose([*steps, *([end] if end else []), dict(type='PackDetInputs')])


BITMAPS = dict(type='LoadAnnotations', with_bbox=True, with_mask=True)
LAZY = dict(type='LoadLazyAnnotations', with_bbox=True)
#: As Lordre's configs: polygons are drawn at the size of the network's input.
TRANSFORMED = dict(LAZY, transform_polygons=True)


def fresh(record):
    return dict(record, instances=[dict(instance) for instance in record['instances']])


def masks_of(run, record):
    return run(fresh(record))['data_samples'].gt_instances.masks


def check(records):
    """Masks and targets of both ways are equal."""
    for record in records:
        ours, theirs = (masks_of(pipeline(load), record) for load in (LAZY, BITMAPS))
        assert isinstance(ours, LazyMasks)
        np.testing.assert_array_equal(ours.to_ndarray(), theirs.masks)
        for end in ENDS.values():
            a, b = (masks_of(pipeline(load, end), record) for load in (LAZY, BITMAPS))
            for name, value in vars(b).items():
                values = zip(value.values(), vars(a)[name].values()) if isinstance(
                    value, dict) else [(value, vars(a)[name])]
                for x, y in values:
                    np.testing.assert_array_equal(np.asarray(x), np.asarray(y), err_msg=name)


def check_transformed(records):
    """Transformed polygons are mmdet's, drawn at the size of the network's input."""
    polygons = dict(BITMAPS, poly2mask=False)
    for record in records:
        ours, theirs = (masks_of(pipeline(load), record) for load in (TRANSFORMED, polygons))
        np.testing.assert_array_equal(ours.to_ndarray(), theirs.to_ndarray())


def rate(run, records, repeat):
    """Images a second in the fastest of a few rounds."""
    best = float('inf')
    for _ in range(repeat + 1):
        copies = [fresh(record) for record in records]
        start = time.perf_counter()
        for record in copies:
            run(record)
        best = min(best, time.perf_counter() - start)
    return len(records) / best


class Drawn:
    """The pipeline, and the masks as full bitmaps after it."""

    def __init__(self, run):
        self.run = run

    def __call__(self, record):
        return self.run(record)['data_samples'].gt_instances.masks.to_ndarray()


def profile(records):
    """Milliseconds of an image in each step of mmdet's pipeline."""
    totals = {}
    for record in records:
        data = fresh(record)
        for step in pipeline(BITMAPS).transforms:
            start = time.perf_counter()
            data = step(data)
            name = type(step).__name__
            totals[name] = totals.get(name, 0) + time.perf_counter() - start
    return ', '.join(f'{name} {1e3 * value / len(records):.1f}' for name, value in totals.items())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=40)
    parser.add_argument('--instances', type=int, nargs='+', default=[10, 50])
    parser.add_argument('--repeat', type=int, default=3)
    args = parser.parse_args()
    cv2.setNumThreads(0)  # as in a worker
    init_default_scope('mmdet')
    print(f'{platform.machine()}, one process, OpenCV {cv2.__version__}, mmcv {mmcv.__version__}; '
          f'{args.images} images a round, best of {args.repeat}')
    with tempfile.TemporaryDirectory() as folder:
        sets = {count: make_images(folder, args.images, count) for count in args.instances}
        for records in sets.values():
            check(records[:2])
            check_transformed(records[:2])
        for count, records in sets.items():
            print(f"mmdet's pipeline, {count} instances, ms by step: {profile(records[:10])}")
        print('| images/s | ' + ' | '.join(f'{count} instances' for count in sets) + ' |')
        print('|---|' + '---|' * len(sets))
        base = row("mmdet's pipeline (bitmaps)", sets, pipeline(BITMAPS), args.repeat)
        row('drawn at the end, as bitmaps', sets, Drawn(pipeline(LAZY)), args.repeat, base)
        for name, end in ENDS.items():
            row(f"drawn at the end, {name}'s targets", sets, pipeline(LAZY, end), args.repeat,
                base)
        row("polygons transformed, Lordre's targets", sets, pipeline(TRANSFORMED, ENDS['Lordre']),
            args.repeat, base)
        row('never drawn', sets, pipeline(LAZY), args.repeat, base)


def row(name, sets, run, repeat, base=None):
    rates = [rate(run, records, repeat) for records in sets.values()]
    cells = [f'{value:.1f}' + (f' ({value / other:.1f}x)' if base else '')
             for value, other in zip(rates, base or rates)]
    print(f'| {name} | ' + ' | '.join(cells) + ' |', flush=True)
    return rates


if __name__ == '__main__':
    main()
