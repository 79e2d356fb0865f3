"""What predicting costs beside the network: time, memory with many pictures, one large picture.

    python benchmarks/predict.py throughput [--pictures 40] [--size 480x640]
    python benchmarks/predict.py memory [--pictures 100000]
    python benchmarks/predict.py large [--side 20000] [--objects 5000]

``throughput``: Lordre R-50 with random weights on a folder of JPEG files, with run lengths and
drawn pictures written, against the same network on inputs that are ready. Both take turns, with
one thread of torch; what counts is the time that the thread of the network computes, since reading
and writing have another core (their time is printed, too: what is less than the network's is
hidden).

``memory``: the resident size of a process that predicts many small files with a network that costs
nothing, at every tenth part, and its slope from the second tenth on.

``large``: the peak of the resident size for one picture in a TIFF file, in tiles, drawn or not;
the model finds areas of one color, so that results can be checked. Needs tifffile. Linux (/proc).
"""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np


def resident():
    """Bytes of this process in memory."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')


def throughput(args):
    """Predicting a folder against the network alone."""
    import torch
    from mmdet.utils import get_test_pipeline_cfg
    from mmengine.config import Config
    from r50 import CONFIGS
    from serving import random_model

    from mmdet_lordre.prediction.run import predict_files
    from mmdet_lordre.prediction.settings import Settings
    from mmdet_lordre.prediction.sources import open_source
    from mmdet_lordre.prediction.stream import Stream

    torch.set_num_threads(1)
    height, width = map(int, args.size.split('x'))
    model = random_model(CONFIGS['lordre'], torch.zeros(1, 3, 64, 64))
    cfg = Config.fromfile(CONFIGS['lordre'])
    resize = next(s for s in get_test_pipeline_cfg(cfg) if s.type.endswith('Resize'))
    resize.scale = (width, height)
    model.cfg, model.dataset_meta = cfg, dict(classes=None, palette=None)
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for number in range(args.pictures):
            small = rng.integers(0, 255, (height // 16, width // 16, 3), np.uint8)
            cv2.imwrite(f'{folder}/{number:05d}.jpg', cv2.resize(small, (width, height)))
        source, settings = open_source(folder), Settings(score_thr=args.score_thr)
        stream = Stream(model, settings)
        inputs = [stream.prepare(stream.prepare.read(p), p) for p in source]
        stream.samples(inputs[:1])
        rows, rounds = [], 3
        for number in range(rounds):
            started, wall = time.thread_time(), time.perf_counter()
            for one in inputs:
                stream.samples([one])
            bare = time.thread_time() - started, time.perf_counter() - wall
            started, wall, every = time.thread_time(), time.perf_counter(), time.process_time()
            summary = predict_files(model, source, f'{folder}/out{number}', args.save, settings,
                                    quiet=True)
            ours = time.thread_time() - started, time.perf_counter() - wall
            rows.append((*bare, *ours, time.process_time() - every - ours[0]))
    bare, bare_wall, ours, ours_wall, beside = np.median(rows, axis=0) / args.pictures
    print(f'{args.pictures} JPEG files of {width}x{height}, {summary.objects} objects, written: '
          f'{" ".join(args.save)}; milliseconds a picture, median of {rounds}')
    print(f'network alone {1e3 * bare:.1f} (wall clock {1e3 * bare_wall:.1f})')
    print(f'predict: thread of the network {1e3 * ours:.1f} (wall clock {1e3 * ours_wall:.1f}), '
          f'reading and writing beside it {1e3 * beside:.1f}')
    print(f'share of the network\'s throughput with a core for the rest: '
          f'{bare / max(ours, beside):.3f}')


def memory(args):
    """Resident size while many files are predicted."""
    from color_model import ColorModel, colored_scene

    from mmdet_lordre.prediction import run
    from mmdet_lordre.prediction.sources import open_source
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder, 'pictures')
        pictures.mkdir()
        for number in range(100):
            image, _ = colored_scene(48, 64, 3, (6, 20), seed=number)
            cv2.imwrite(f'{folder}/{number}.png', image)
        for number in range(args.pictures):
            os.link(f'{folder}/{number % 100}.png', pictures / f'{number:07d}.png')
        sizes = []

        class Watched(ColorModel):
            done = 0

            def test_step(self, data):
                if self.done % (args.pictures // 10) == 0:
                    sizes.append((self.done, resident()))
                self.done += 1
                return super().test_step(data)

        started = time.process_time()
        summary = run.predict_files(Watched(), open_source(str(pictures)), f'{folder}/out',
                                    args.save, quiet=True)
        spent = time.process_time() - started
        sizes.append((args.pictures, resident()))
    for done, size in sizes:
        print(f'{done:>8} pictures  {size / 2**20:8.1f} MiB')
    done, size = np.array(sizes[2:-1], float).T
    slope = np.polyfit(done, size, 1)[0]
    print(f'{summary.objects} objects, {1e3 * spent / args.pictures:.2f} ms of the CPU a picture; '
          f'slope {slope:.1f} bytes a picture ({slope * 1e6 / 2**20:.1f} MiB a million)')


def large(args):
    """Peak memory of one large picture."""
    if args.step:
        return _large_step(args)
    with tempfile.TemporaryDirectory() as folder:
        def step(name):
            done = subprocess.run(
                [sys.executable, __file__, 'large', '--side', str(args.side), '--objects',
                 str(args.objects), '--step', name, '--folder', folder], check=True,
                stdout=subprocess.PIPE, text=True)
            return json.loads(done.stdout.splitlines()[-1])
        drawn = step('scene')
        print(f'{args.side}x{args.side}, {drawn["objects"]} objects')
        for name in ('files', 'pictures'):
            found = step(name)
            print(f'{name}: {found["objects"]} objects found, {found["exact"]} of them pixel by '
                  f'pixel; peak {found["peak"] / 2**30:.2f} GiB ({found["before"] / 2**30:.2f} '
                  f'before), {found["cpu"]:.0f} s of the CPU')
    return None


def _large_step(args):
    from color_model import ColorModel, colored_scene
    path = f'{args.folder}/scene.tif'
    if args.step == 'scene':
        import tifffile
        image, objects = colored_scene(args.side, args.side, args.objects, (20, 600), stretch=4)
        tifffile.imwrite(path, image[..., ::-1], tile=(512, 512), compression='zlib',
                         photometric='rgb')
        np.save(f'{args.folder}/areas.npy', [np.count_nonzero(o[2]) for o in objects])
        print(json.dumps(dict(objects=len(objects))))
        return
    from mmdet_lordre.prediction.run import predict_files
    from mmdet_lordre.prediction.settings import Settings
    from mmdet_lordre.prediction.sources import open_source
    before, save = resident(), ['coco', 'csv', 'geojson']
    threading.stack_size(2**20)
    predict_files(ColorModel(), open_source(path), f'{args.folder}/{args.step}',
                  save + (['pictures'] if args.step == 'pictures' else []),
                  Settings(tile=1024, score_thr=0.1), quiet=True)
    entries = json.loads(Path(args.folder, args.step, 'results.json').read_text())
    from pycocotools import mask as mask_api
    found = sorted(int(mask_api.area(entry['segmentation'])) for entry in entries)
    true = sorted(np.load(f'{args.folder}/areas.npy').tolist())
    left = list(true)
    exact = sum(_take(left, area) for area in found)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps(dict(objects=len(found), exact=exact, before=before,
                          peak=usage.ru_maxrss * 1024, cpu=usage.ru_utime + usage.ru_stime)))


def _take(areas, area):
    if area in areas:
        areas.remove(area)
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('part', choices=['throughput', 'memory', 'large'])
    parser.add_argument('--pictures', type=int, default=None)
    parser.add_argument('--size', default='480x640')
    parser.add_argument('--score-thr', type=float, default=0.01)
    parser.add_argument('--save', nargs='+', default=None)
    parser.add_argument('--side', type=int, default=20000)
    parser.add_argument('--objects', type=int, default=5000)
    parser.add_argument('--step', help=argparse.SUPPRESS)
    parser.add_argument('--folder', help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.pictures = args.pictures or dict(throughput=40, memory=100_000).get(args.part)
    args.save = args.save or dict(throughput=['coco', 'pictures'], memory=['coco', 'csv']).get(
        args.part)
    dict(throughput=throughput, memory=memory, large=large)[args.part](args)


if __name__ == '__main__':
    main()
