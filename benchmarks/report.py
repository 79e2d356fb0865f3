"""CPU seconds, memory and bytes of a report on data of COCO's size, generated.

    python benchmarks/report.py [--folder DIR] [--images 5000] [--found 100]

5,000 images of 640x480, 36,000 objects of 80 classes (of COCO's sizes: two fifths small, a third
medium), and up to 100 detections an image: the objects found again with an error that grows from
object to object, some twice, some as another class, and things that are not there.
"""
import argparse
import json
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_api

HEIGHT, WIDTH, CLASSES = 480, 640, 80


def outline(rng, center, radius, rough=0.15, points=24):
    """A star-shaped polygon [x, y, ...] in the image."""
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    waves = sum(rng.normal(0, rough / k) * np.cos(k * angles + rng.uniform(0, 6.3))
                for k in (1, 2, 3, 5))
    r = radius * np.maximum(0.2, 1 + waves)
    x = np.clip(center[0] + r * np.cos(angles), 0, WIDTH)
    y = np.clip(center[1] + r * np.sin(angles), 0, HEIGHT)
    return np.stack([x, y], 1)


def bend(rng, polygon, error):
    """The polygon with its points moved: by ``error`` of its size, and all by half of that."""
    size = np.sqrt(np.ptp(polygon[:, 0]) * np.ptp(polygon[:, 1]) + 1)
    moved = polygon + rng.normal(0, error * size, polygon.shape) + rng.normal(
        0, error * size / 2, 2)
    return np.clip(moved, 0, (WIDTH, HEIGHT))


def encode(polygon):
    mask = mask_api.frPyObjects([polygon.ravel().tolist()], HEIGHT, WIDTH)[0]
    return dict(size=[HEIGHT, WIDTH], counts=mask['counts'].decode())


def generate(folder, images, objects, found):
    """Write ``truth.json``, ``results.json`` and ``images/`` into a folder."""
    rng = np.random.default_rng(0)
    pictures = folder / 'images'
    pictures.mkdir(parents=True, exist_ok=True)
    for k in range(64):
        noise = cv2.resize(rng.integers(0, 255, (15, 20, 3), np.uint8), (WIDTH, HEIGHT),
                           interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(pictures / f'{k}.jpg'), noise)
    popular = rng.permutation(np.arange(1, CLASSES + 1) ** -0.8)
    popular /= popular.sum()
    data = dict(images=[], annotations=[], categories=[
        dict(id=k + 1, name=f'class {k + 1}') for k in range(CLASSES)])
    results = []
    counts = rng.geometric(images / objects, images)
    for i in range(images):
        data['images'].append(dict(id=i + 1, file_name=f'{i % 64}.jpg', height=HEIGHT,
                                   width=WIDTH))
        here = []
        kinds = rng.choice(CLASSES, max(1, counts[i] // 2), p=popular)
        for _ in range(counts[i]):
            radius = np.exp(rng.normal(np.log(28), 0.95))
            polygon = outline(rng, rng.uniform((0, 0), (WIDTH, HEIGHT)), min(radius, 220))
            label = int(rng.choice(kinds))
            x, y = polygon.min(0).tolist()
            mask = mask_api.frPyObjects([polygon.ravel().tolist()], HEIGHT, WIDTH)
            area = int(mask_api.area(mask)[0])
            if area < 4:
                continue
            here.append((polygon, label))
            data['annotations'].append(dict(
                id=len(data['annotations']) + 1, image_id=i + 1, category_id=label + 1,
                iscrowd=int(rng.random() < 0.012), area=area,
                bbox=[x, y, *np.ptp(polygon, 0).tolist()],
                segmentation=[polygon.ravel().round(2).tolist()]))
        wanted = []
        for polygon, label in here:
            error = rng.exponential(0.06)
            for _ in range(1 + int(rng.random() < 0.3)):
                other = int(rng.integers(CLASSES)) if rng.random() < 0.1 else label
                wanted.append((bend(rng, polygon, error), other,
                               np.clip(rng.beta(4, 2) - error, 0.01, 1)))
        while len(wanted) < found:
            polygon = outline(rng, rng.uniform((0, 0), (WIDTH, HEIGHT)),
                              min(np.exp(rng.normal(np.log(28), 0.95)), 220))
            wanted.append((polygon, int(rng.integers(CLASSES)), rng.beta(1, 12)))
        results += [dict(image_id=i + 1, category_id=label + 1, score=round(float(score), 5),
                         segmentation=encode(polygon)) for polygon, label, score in wanted]
    (folder / 'truth.json').write_text(json.dumps(data))
    (folder / 'results.json').write_text(json.dumps(results))
    print(f'{images} images, {len(data["annotations"])} objects, {len(results)} detections')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--folder', type=Path, default=Path('work_dirs/report_benchmark'))
    parser.add_argument('--images', type=int, default=5000)
    parser.add_argument('--objects', type=int, default=36_300)
    parser.add_argument('--found', type=int, default=100)
    args = parser.parse_args()
    if not (args.folder / 'results.json').exists():
        generate(args.folder, args.images, args.objects, args.found)
    from mmdet_lordre.cli.report import main as report
    start = time.process_time()
    report(['--results', str(args.folder / 'results.json'), '--ann',
            str(args.folder / 'truth.json'), '--out', str(args.folder / 'report')])
    page = args.folder / 'report' / 'report.html'
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2 ** (20 if sys.platform != 'darwin'
                                                                      else 30)
    print(f'{time.process_time() - start:.0f} s of the CPU, {peak:.2f} GiB, page of '
          f'{page.stat().st_size / 2 ** 20:.1f} MiB')


if __name__ == '__main__':
    main()
