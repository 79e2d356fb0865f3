"""PolarMask side by side with the published algorithm, in one process, with equal answers.

    python benchmarks/polar.py [targets] [loading] [decoding]

targets   ray targets of one image of 768x1280, from bitmaps and from extracted contours, against
          the published algorithm (a loop over points and angles).
loading   images/s of one data-loading worker: 640x480 images resized to 1280x768, with and
          without the extraction of contours.
decoding  100 detections to run lengths at 480x640 against filling bitmaps and encoding them.
"""
import argparse
import contextlib
import io
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.registry import DATASETS
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import register_all_modules
from mmengine.dataset import pseudo_collate
from mmengine.fileio import dump
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mmdet_lordre.polarmask import InstanceContours, PolarRayCoder, contours_to_rle, polar_targets
from tests.parity.fill import ellipse_instances
from tests.polarmask.reference import image_targets

SIZES = ((96, 160), (48, 80), (24, 40), (12, 20), (6, 10))
STRIDES = (8, 16, 32, 64, 128)
RANGES = ((-1, 64), (64, 128), (128, 256), (256, 512), (512, 1e8))


def fastest_ms(work, repeats):
    """Milliseconds of the fastest of several calls, which other processes disturb least, and
    the result."""
    times, result = [], work()
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        times.append(1000 * (time.perf_counter() - start))
    return min(times), result


def bench_targets():
    print('\nTargets of one image, 768x1280, 36 rays (ms)\n'
          'instances  points  published  ours: from bitmaps    ratio  contours given    ratio  '
          'exact rays  holes')
    coder, exact = PolarRayCoder(36), PolarRayCoder(36, exact=True)
    for count in (7, 20, 50):
        boxes, labels, masks = ellipse_instances(f'polar/{count}', 768, 1280, count, 80)
        boxes, labels = torch.from_numpy(boxes), torch.from_numpy(labels)
        bitmaps = BitmapMasks(masks, 768, 1280)
        contours = InstanceContours.from_masks(bitmaps, holes=True)

        def ours(given, boxes=boxes, labels=labels, coder=coder, holes=False):
            truth = InstanceData(bboxes=boxes, labels=labels, masks=given)
            return polar_targets([truth], SIZES, STRIDES, RANGES, 80, coder, holes=holes)

        published, wanted = fastest_ms(lambda boxes=boxes, labels=labels, masks=masks: (
            image_targets(boxes, labels, masks, SIZES, STRIDES, RANGES, 80)), 5)
        whole, targets = fastest_ms(lambda given=bitmaps: ours(given), 30)
        ready, _ = fastest_ms(lambda given=contours: ours(given), 30)
        crossed, _ = fastest_ms(lambda given=contours: ours(given, coder=exact), 30)
        holed, _ = fastest_ms(lambda given=contours: ours(given, coder=exact, holes=True), 30)
        for value, reference in zip((targets.labels, targets.positives, targets.boxes),
                                    (wanted[0], wanted[1], wanted[3])):
            assert torch.equal(value, reference), 'the targets differ'
        assert (targets.rays - wanted[2]).abs().max() < 1e-4, 'the rays differ'
        print(f'{count:9}  {len(targets.positives):6}  {published:9.1f}  {whole:18.2f}  '
              f'{published / whole:6.1f}x  {ready:14.2f}  {published / ready:6.1f}x  '
              f'{crossed:10.2f}  {holed:5.2f}')


def make_images(folder, polygons, images=24):
    """A COCO data set of noise with star-shaped polygons."""
    rng = np.random.default_rng(polygons)
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    annotations = []
    for image in range(images):
        picture = cv2.resize(rng.integers(0, 255, (60, 80, 3), np.uint8), (640, 480))
        cv2.imwrite(str(folder / f'{image}.jpg'), picture)
        for _ in range(polygons):
            radius = rng.uniform(10, 90) * rng.uniform(0.7, 1, 40)
            x = np.clip(rng.uniform(60, 580) + radius * np.cos(angles), 0, 640)
            y = np.clip(rng.uniform(60, 420) + radius * np.sin(angles), 0, 480)
            box = [x.min(), y.min(), np.ptp(x), np.ptp(y)]
            annotations.append(dict(
                id=len(annotations) + 1, image_id=image, category_id=1, iscrowd=0,
                bbox=[float(v) for v in box], area=float(box[2] * box[3] / 2),
                segmentation=[np.stack((x, y), 1).round(2).ravel().tolist()]))
    dump(dict(images=[dict(id=i, file_name=f'{i}.jpg', width=640, height=480)
                      for i in range(images)],
              annotations=annotations, categories=[dict(id=1, name='star')]),
         str(folder / 'annotations.json'))


def images_per_second(folder, poly2mask, extract, epochs=3):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=poly2mask),
        *([dict(type='FilterTinyInstances')] if extract else []),
        dict(type='Resize', scale=(1280, 768), keep_ratio=False),
        dict(type='RandomFlip', prob=0.5),
        *([dict(type='ExtractContours')] if extract else []),
        dict(type='PackDetInputs')]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        dataset = DATASETS.build(dict(
            type='CocoDataset', data_root=str(folder), ann_file='annotations.json',
            data_prefix=dict(img=''), metainfo=dict(classes=('star',)), pipeline=pipeline))
    loader = torch.utils.data.DataLoader(dataset, batch_size=2, num_workers=1,
                                         collate_fn=pseudo_collate, persistent_workers=True)
    for _ in loader:  # starts the worker
        pass
    start = time.perf_counter()
    for _ in range(epochs):
        for _ in loader:
            pass
    return epochs * len(dataset) / (time.perf_counter() - start)


def bench_loading():
    print('\nOne data-loading worker, 640x480 resized to 1280x768 (images/s)\n'
          'polygons  bitmaps  + contours   ratio   polygons  + contours')
    for polygons in (7, 20, 50):
        with tempfile.TemporaryDirectory() as folder:
            make_images(Path(folder), polygons)
            rates = [images_per_second(Path(folder), poly2mask, extract)
                     for poly2mask in (True, False) for extract in (False, True)]
        print(f'{polygons:8}  {rates[0]:7.1f}  {rates[1]:10.1f}  {rates[1] / rates[0]:5.2f}x  '
              f'{rates[2]:9.1f}  {rates[3]:10.1f}')


def bench_decoding():
    height, width = 480, 640
    print('\n100 detections to run lengths, 480x640 (ms)\n'
          'mean side  bitmaps + encoding   ours    ratio   ours, fill=coco')
    rng = np.random.default_rng(0)
    coder = PolarRayCoder(36)
    for side in (40, 100, 200):
        points = torch.from_numpy(rng.uniform((0, 0), (width, height), (100, 2)))
        length = rng.uniform(0.4, 1.6, (100, 1)) * side / 2
        rays = torch.from_numpy(length * rng.uniform(0.75, 1.25, (100, 36)))
        contours = coder.decode(points, rays, (height, width))

        def published(contours=contours):
            encoded = []
            for contour in contours.numpy().astype(np.int32):
                mask = np.zeros((height, width), np.uint8)
                cv2.drawContours(mask, [contour], -1, 1, -1)
                encoded += mask_api.encode(np.array(mask[:, :, None], order='F'))
            return encoded

        reference, wanted = fastest_ms(published, 10)
        time_ours, found = fastest_ms(
            lambda contours=contours: contours_to_rle(contours, (height, width)), 20)
        time_coco, _ = fastest_ms(
            lambda contours=contours: contours_to_rle(contours, (height, width), 'coco'), 20)
        assert wanted == list(found), 'the run lengths differ'
        print(f'{side:9}  {reference:18.1f}  {time_ours:5.2f}  {reference / time_ours:6.1f}x  '
              f'{time_coco:16.2f}')


def main():
    parts = dict(targets=bench_targets, loading=bench_loading, decoding=bench_decoding)
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('parts', nargs='*', metavar='part', help=f'some of {", ".join(parts)}')
    args = parser.parse_args()
    for name in args.parts or parts:
        if name not in parts:
            parser.error(f'there is no part {name!r}; choose from {", ".join(parts)}')
    register_all_modules()
    MMLogger.get_instance('benchmark', log_level='ERROR')
    print(f'torch {torch.__version__}, {torch.get_num_threads()} threads')
    for name in args.parts or parts:
        parts[name]()


if __name__ == '__main__':
    main()
