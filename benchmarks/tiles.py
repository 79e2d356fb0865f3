"""Large pictures in tiles: ours, one reduced pass, and the slicers of sahi and supervision.

    pip install sahi supervision
    python benchmarks/tiles.py [--scenes 2] [--side 4096] [--objects 250]

Generated scenes with ellipses of 8 to 1200 px that touch nowhere; the same model for all (it finds
what has one color in what it is given, at most 1024 px long, as a network would), tiles of 1024 px
that overlap by a fifth. Each way is a process of its own, with its own defaults otherwise; sahi and
supervision are left out where they are not installed. Printed are AP of masks, of small ones (below
32 x 32), recall at IoU 0.5 of objects that no border of a tile cuts and of the others, predictions
that are no object (IoU below 0.5 with all), the peak of memory above that before, and seconds of
the CPU for a scene. Needs Linux (``resource``, in KiB).
"""
import argparse
import contextlib
import importlib.util
import io
import json
import resource
import subprocess
import sys
import time

import numpy as np
from color_model import ColorModel, colored_scene
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_lordre.masks.runs import rle_of_crop
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.tiles import open_stream, windows_of

TILE, OVERLAP = 1024, 0.2


def ours(image):
    """This package's tiles."""
    stream = open_stream(ColorModel(TILE), Settings(tile=TILE, overlap=OVERLAP, score_thr=0.1))
    result, = stream.run(open_source(image))
    return list(zip(result.masks, result.scores.tolist()))


def one_pass(image):
    """The whole picture at the size of a tile."""
    result, = open_stream(ColorModel(TILE), Settings(score_thr=0.1)).run(open_source(image))
    return list(zip(result.masks, result.scores.tolist()))


def by_sahi(image):
    """sahi's sliced prediction, by its defaults."""
    from sahi.models.base import DetectionModel
    from sahi.predict import get_sliced_prediction
    from sahi.prediction import ObjectPrediction
    from sahi.utils.cv import get_coco_segmentation_from_bool_mask

    class Model(DetectionModel):

        def load_model(self):
            self.model, self.category_mapping = ColorModel(TILE), {'0': 'object'}

        def perform_inference(self, image, *args, **kwargs):
            images = image if isinstance(image, list) else [image]
            self._original_predictions = [
                (list(self.model.found(one)), one.shape[:2]) for one in images]

        def _create_object_prediction_list_from_original_predictions(
                self, shift_amount_list=None, full_shape_list=None):
            shifts = shift_amount_list or [[0, 0]]
            shifts = shifts if isinstance(shifts[0], (list, tuple)) else [shifts]
            shapes = full_shape_list or [None]
            shapes = shapes if isinstance(shapes[0], (list, tuple, type(None))) else [shapes]
            every = []
            for (found, size), shift, shape in zip(self._original_predictions, shifts, shapes):
                objects = []
                for y, x, bitmap, score in found:
                    mask = np.zeros(size, bool)
                    mask[y:y + bitmap.shape[0], x:x + bitmap.shape[1]] = bitmap > 0
                    segmentation = get_coco_segmentation_from_bool_mask(mask)
                    if segmentation:
                        objects.append(ObjectPrediction(
                            [x, y, x + bitmap.shape[1], y + bitmap.shape[0]], 0, 'object',
                            segmentation, score, shift, shape or list(size)))
                every.append(objects)
            self._object_prediction_list_per_image = every

    result = get_sliced_prediction(image, Model(confidence_threshold=0.1), TILE, TILE, OVERLAP,
                                   OVERLAP, verbose=0)
    return [(mask_api.encode(np.asfortranarray(one.mask.bool_mask.astype(np.uint8))),
             float(one.score.value)) for one in result.object_prediction_list]


def by_supervision(image, overlap_filter='non_max_suppression'):
    """supervision's slicer with its compact masks; full ones take gigabytes here."""
    import supervision
    model = ColorModel(TILE)

    def callback(part):
        found = list(model.found(part))
        if not found:
            return supervision.Detections.empty()
        masks = np.zeros((len(found), *part.shape[:2]), bool)
        for mask, (y, x, bitmap, _) in zip(masks, found):
            mask[y:y + bitmap.shape[0], x:x + bitmap.shape[1]] = bitmap > 0
        return supervision.Detections(
            np.array([[x, y, x + b.shape[1], y + b.shape[0]] for y, x, b, _ in found], float),
            mask=masks, confidence=np.array([score for *_, score in found]),
            class_id=np.zeros(len(found), int))

    slicer = supervision.InferenceSlicer(callback, TILE, round(OVERLAP * TILE),
                                         overlap_filter=overlap_filter, compact_masks=True)
    found = slicer(image)
    return [(mask_api.encode(np.asfortranarray(np.asarray(mask, np.uint8))), float(score))
            for mask, score in zip(found.mask, found.confidence)]


WAYS = {'ours': ours, 'one reduced pass': one_pass, 'sahi': by_sahi,
        'supervision, NMS': by_supervision,
        'supervision, NMM': lambda image: by_supervision(image, 'non_max_merge')}


def run(args):
    """One way in this process; prints what it found as JSON."""
    found, peaks, spent = [], 0, 0.0
    for seed in range(args.scenes):
        image, _ = colored_scene(args.side, args.side, args.objects, (8, 1200), seed)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            results = WAYS[args.way](image)
        spent += time.process_time() - started
        peaks = max(peaks, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        found.append([dict(image_id=seed, category_id=1, score=score, segmentation=dict(
            size=[args.side] * 2, counts=rle['counts'].decode())) for rle, score in results])
    print(json.dumps(dict(found=found, peak=peaks, cpu=spent / args.scenes)))


def judge(found, truth, cut, side):
    """AP, AP of small masks, recall of uncut and of cut objects, predictions of nothing."""
    coco = COCO()
    coco.dataset = dict(
        images=[dict(id=i, height=side, width=side) for i in range(len(truth))],
        categories=[dict(id=1, name='object')],
        annotations=[dict(id=1 + n, image_id=i, category_id=1, iscrowd=0, segmentation=rle,
                          area=float(mask_api.area(rle)), bbox=mask_api.toBbox(rle).tolist())
                     for n, (i, rle) in enumerate((i, r) for i, t in enumerate(truth) for r in t)])
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        every = [one for part in found for one in part]
        figures = COCOeval(coco, coco.loadRes(every), 'segm')
        figures.params.maxDets = [1, 100, 10_000]
        figures.evaluate()
        figures.accumulate()
    precision = figures.eval['precision']
    small = precision[:, :, :, 1, -1]
    hit, nothing = [], 0
    for part, rles in zip(found, truth):
        ious = np.concatenate([mask_api.iou([one['segmentation']], rles, [0] * len(rles))
                               for one in part]) if part else np.zeros((0, len(rles)))
        hit.append((ious >= 0.5).any(axis=0))
        nothing += int((ious < 0.5).all(axis=1).sum())
    hit, cut = np.concatenate(hit), np.concatenate(cut)
    return (precision[:, :, :, 0, -1].mean(), small[small > -1].mean(), hit[~cut].mean(),
            hit[cut].mean(), nothing)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--scenes', type=int, default=2)
    parser.add_argument('--side', type=int, default=4096)
    parser.add_argument('--objects', type=int, default=250)
    parser.add_argument('--way', choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        run(args)
        return
    truth, cut = [], []
    windows = windows_of((args.side, ) * 2, TILE, OVERLAP)
    for seed in range(args.scenes):
        _, objects = colored_scene(args.side, args.side, args.objects, (8, 1200), seed)
        truth.append([rle_of_crop(b, y, x, (args.side, ) * 2) for y, x, b in objects])
        cut.append(np.array([any(_cuts(w, y, x, *b.shape) for w in windows)
                             for y, x, b in objects]))
    print(f'{args.scenes} scenes of {args.side} px, {sum(map(len, truth))} objects, '
          f'{sum(c.sum() for c in cut)} of them cut by the border of a tile')
    print(f'{"":18}     AP  small  recall  of cut  nothing  memory     CPU')
    for way in WAYS:
        package = way.split(',')[0]
        if package in ('sahi', 'supervision') and importlib.util.find_spec(package) is None:
            continue
        done = subprocess.run(
            [sys.executable, __file__, '--way', way, '--scenes', str(args.scenes), '--side',
             str(args.side), '--objects', str(args.objects)], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            print(f'{way:18} ended with status {done.returncode}')
            continue
        result = json.loads(done.stdout.splitlines()[-1])
        ap, small, recall, recall_cut, nothing = judge(result['found'], truth, cut, args.side)
        print(f'{way:18} {ap:6.3f} {small:6.3f} {recall:7.3f} {recall_cut:7.3f} {nothing:8d} '
              f'{result["peak"] / 2**20:6.2f} GiB {result["cpu"]:5.1f} s', flush=True)


def _cuts(window, y, x, height, width):
    """Whether the border of a window goes through an object's bounds."""
    inside_y = y < window.y + window.height and y + height > window.y
    inside_x = x < window.x + window.width and x + width > window.x
    whole = (window.y <= y and y + height <= window.y + window.height
             and window.x <= x and x + width <= window.x + window.width)
    return inside_y and inside_x and not whole


if __name__ == '__main__':
    main()
