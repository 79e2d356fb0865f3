"""Tracking: identities on generated films beside ByteTrack and others, and what each part costs.

    pip install trackers trackeval
    python benchmarks/tracking.py identities [--seeds 0 1 2 3] [--frames 150]
    python benchmarks/tracking.py speed

``identities``: shapes move, hide each other and go behind bars (``moving.py``); all trackers get
the same detections: true masks with ragged borders, of which some are missing and some are of
nothing, with scores that fall where an object is hidden. The trackers of the package trackers get
the boxes of the masks, by their defaults and, for ByteTrack, with thresholds for these scores as
well ("tuned": objects begin at once, high from 0.3 on). HOTA, its parts and IDF1 are TrackEval's,
by the IoU of masks, averages over seeds. Milliseconds of the CPU a frame.

``speed``: a film of 640x480 with 14 shapes: decoding, the network (Lordre R-50 with random
weights), tracking, drawing and encoding, one after the other in one thread (FFmpeg has threads of
its own).
"""
import argparse
import contextlib
import io
import time
import warnings
from fractions import Fraction

import numpy as np
from moving import SCENES, detections, film
from pycocotools import mask as mask_api

from mmdet_lordre.masks import RLEMasks
from mmdet_lordre.masks.runs import rle_of_crop
from mmdet_lordre.prediction.result import Result
from mmdet_lordre.prediction.settings import Settings
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
    """A table for each kind of film."""
    warnings.simplefilter('ignore')
    total = {}
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
            total.setdefault(name, []).extend(values)
    print('all')
    for name, values in total.items():
        print(f'  {name:18}', *(f'{v:7.3f}' for v in np.mean(values, axis=0)))
    first = np.array(total['ours'])
    for name, values in total.items():
        ahead = first[:, [0, 3]] - np.array(values)[:, [0, 3]]
        print(f'ours ahead of {name} by {ahead[:, 0].mean():.3f} HOTA, {ahead[:, 1].mean():.3f} '
              f'IDF1; in {(ahead > 0).sum(axis=0).tolist()} of {len(values)} films')


def speed(args):
    """Milliseconds of the CPU for each part of a film."""
    import tempfile
    from pathlib import Path

    import torch
    from mmdet.utils import get_test_pipeline_cfg
    from mmengine.config import Config
    from r50 import CONFIGS
    from serving import random_model

    from mmdet_lordre.prediction.films import Film
    from mmdet_lordre.prediction.frames import frames_of
    from mmdet_lordre.prediction.stream import Stream
    from mmdet_lordre.prediction.writers import Context
    from mmdet_lordre.prediction.writers.film import Encoder
    from mmdet_lordre.prediction.writers.pictures import drawn_frame

    torch.set_num_threads(1)
    spent, size = {}, (480, 640)

    @contextlib.contextmanager
    def timed(name, count):
        started = time.process_time()
        yield
        spent[name] = 1e3 * (time.process_time() - started) / count

    with tempfile.TemporaryDirectory() as folder:
        moments = list(film('crossing', args.frames, size, 0))
        path = Path(folder, 'a.mp4')
        still = argparse.Namespace(path=None, rate=25, time_base=Fraction(1, 25),
                                   aspect=None)
        encoder = Encoder(path.with_suffix(''), still, size)
        for number, moment in enumerate(moments):
            encoder.add(moment.image[..., ::-1], number / 25)
        encoder.close()
        with timed('decode', args.frames):
            for _ in Film(str(path), 'a').shots():
                pass
        model = random_model(CONFIGS['lordre'], torch.zeros(1, 3, 64, 64))
        cfg = Config.fromfile(CONFIGS['lordre'])
        next(s for s in get_test_pipeline_cfg(cfg) if s.type.endswith('Resize')).scale = size[::-1]
        model.cfg, model.dataset_meta = cfg, dict(classes=None, palette=None)
        stream = Stream(model, Settings(score_thr=0.9))
        pictures = list(frames_of([str(path)]))[:8]
        inputs = [stream.prepare(picture.pixels, picture) for picture in pictures]
        stream.samples(inputs[:1])
        with timed('network', len(inputs)):
            for one in inputs:
                stream.samples([one])
        rng, results = np.random.default_rng(0), []
        for number, moment in enumerate(moments):
            masks, scores = detections(moment, rng)
            results.append(Result(
                f'a/{number:06d}', number, size,
                RLEMasks([rle_of_crop(b, y, x, size) for y, x, b in masks], size), scores,
                np.zeros(len(scores), int), ('shape', ), film='a', frame=number + 1,
                time=number / 25, image=moment.image))
        for name, settings in (('track', Tracking()), ('track, colors', Tracking(appearance=True))):
            with timed(name, args.frames):
                found = list(tracked(results, settings, np.array([0.3]), lambda film: 25.0))
        context = Context(Path(folder), ('shape', ), None)
        with timed('draw', args.frames):
            drawn = [drawn_frame(result, context) for result in found]
        encoder = Encoder(Path(folder, 'b'), still, size)
        with timed('encode', args.frames):
            for result, picture in zip(found, drawn):
                encoder.add(picture, result.time)
            encoder.close()
    print(f'{args.frames} frames of 640x480, {np.mean([len(r) for r in found]):.1f} objects each')
    for name, value in spent.items():
        print(f'  {name:14} {value:8.2f} ms of the CPU a frame, {1e3 / value:7.1f} frames/s')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('part', choices=['identities', 'speed'])
    parser.add_argument('--frames', type=int, default=150)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3])
    parser.add_argument('--scenes', nargs='+', default=list(SCENES))
    args = parser.parse_args()
    dict(identities=identities, speed=speed)[args.part](args)


if __name__ == '__main__':
    main()
