"""Identities on generated films: ours beside ByteTrack and others on the same detections.

    pip install trackers trackeval
    python benchmarks/tracking.py identities [--frames 150] [--seeds 0 1 2 3]
"""
import argparse
import contextlib
import io
import time
import warnings

import numpy as np
from moving import SCENES, detections, film
from pycocotools import mask as mask_api

from mmdet_lordre.masks import RLEMasks
from mmdet_lordre.masks.runs import rle_of_crop
from mmdet_lordre.prediction.result import Result
from mmdet_lordre.prediction.tracking import Tracking, tracked

SIZE = 360, 480


def prepared(scene, frames, seed):
    """Truth (identities, run lengths) and results without identities, of each frame."""
    rng = np.random.default_rng(1000 + seed)
    truth, results = [], []
    for number, moment in enumerate(film(scene, frames, SIZE, seed)):
        truth.append((np.array(moment.numbers), encode(moment.masks)))
        masks, scores = detections(moment, rng)
        masks = RLEMasks(encode(masks), SIZE)
        results.append(Result(f'{number:06d}', number, SIZE, masks, scores,
                              np.zeros(len(scores), int), ('shape', ), film=scene,
                              frame=number + 1, time=number / 25, image=moment.image))
    return truth, results


def encode(masks):
    """Run lengths of masks inside their bounds."""
    return [rle_of_crop(bitmap, y, x, SIZE) for y, x, bitmap in masks]


def ours(results, **settings):
    """Identities and run lengths of each frame, and seconds of the CPU."""
    started = time.process_time()
    found = list(tracked(results, Tracking(**settings), np.array([0.3]), lambda film: 25.0))
    spent = time.process_time() - started
    return [(r.track_ids, list(r.masks)) for r in found], spent


def theirs(results, tracker):
    """The same by a tracker of the package trackers, on boxes."""
    import supervision
    found, spent = [], 0.0
    for result in results:
        boxes = supervision.Detections(
            result.boxes.reshape(-1, 4), confidence=result.scores, class_id=result.labels,
            data=dict(place=np.arange(len(result))))
        started = time.process_time()
        boxes = tracker.update(boxes)
        spent += time.process_time() - started
        numbers = np.asarray(boxes.tracker_id, int)
        kept = numbers >= 0
        places = np.asarray(boxes.data.get('place', np.zeros(0, int)), int)[kept]
        found.append((numbers[kept], [result.masks[i] for i in places]))
    return found, spent


def judge(truth, found):
    """HOTA, its detection and association parts, and IDF1, by TrackEval on masks."""
    with contextlib.redirect_stdout(io.StringIO()):
        from trackeval.metrics import HOTA, Identity
        metrics = HOTA(), Identity(dict(PRINT_CONFIG=False))
        names = {n: i for i, n in enumerate(sorted({n for ids, _ in truth for n in ids.tolist()}))}
        ours = {n: i for i, n in enumerate(sorted({n for ids, _ in found for n in ids.tolist()}))}
        data = dict(
            gt_ids=[np.array([names[n] for n in ids.tolist()], int) for ids, _ in truth],
            tracker_ids=[np.array([ours[n] for n in ids.tolist()], int) for ids, _ in found],
            similarity_scores=[
                mask_api.iou(b, a, [0] * len(a)).T if len(a) and len(b) else
                np.zeros((len(a), len(b))) for (_, a), (_, b) in zip(truth, found)],
            num_gt_ids=len(names), num_tracker_ids=len(ours),
            num_gt_dets=sum(len(ids) for ids, _ in truth),
            num_tracker_dets=sum(len(ids) for ids, _ in found))
        hota, identity = (metric.eval_sequence(data) for metric in metrics)
    return np.array([hota['HOTA'].mean(), hota['DetA'].mean(), hota['AssA'].mean(),
                     identity['IDF1']])


def ways():
    """Name and function of every tracker that is installed."""
    found = {'ours': ours, 'ours, colors': lambda r: ours(r, appearance=True)}
    with contextlib.suppress(ImportError):
        from trackers import BoTSORTTracker, ByteTrackTracker, OCSORTTracker
        found['ByteTrack'] = lambda r: theirs(r, ByteTrackTracker(frame_rate=25))
        found['ByteTrack, tuned'] = lambda r: theirs(r, ByteTrackTracker(
            frame_rate=25, track_activation_threshold=0.5, high_conf_det_threshold=0.3,
            minimum_consecutive_frames=1))
        found['OC-SORT'] = lambda r: theirs(r, OCSORTTracker(frame_rate=25))
        found['BoT-SORT'] = lambda r: theirs(r, BoTSORTTracker(frame_rate=25, enable_cmc=False))
    return found


def identities(args):
    warnings.simplefilter('ignore')
    for scene in args.scenes:
        rows = {name: [] for name in ways()}
        for seed in args.seeds:
            truth, results = prepared(scene, args.frames, seed)
            for name, way in ways().items():
                found, spent = way(results)
                rows[name].append([*judge(truth, found), 1e3 * spent / args.frames])
        print(f'{scene}: HOTA, DetA, AssA, IDF1, ms a frame')
        for name, values in rows.items():
            print(f'  {name:18}', *(f'{v:7.3f}' for v in np.mean(values, axis=0)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('part', choices=['identities'])
    parser.add_argument('--frames', type=int, default=150)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3])
    parser.add_argument('--scenes', nargs='+', default=list(SCENES))
    args = parser.parse_args()
    identities(args)


if __name__ == '__main__':
    main()
