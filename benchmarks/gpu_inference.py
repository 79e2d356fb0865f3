"""Models of all methods on a GPU: precision, CUDA graphs, compiling; a part of gpu.py."""
import contextlib
import statistics
import time

import numpy as np
import torch
from r50 import CONFIGS, SIZES, random_model

from mmdet_lordre.analysis.speed import TimedDetector
from mmdet_lordre.deployment.onnx.check import compare
from mmdet_lordre.models import head_of

#: Name: (type of autocast, TF32, captured as a CUDA graph, compiled).
FORMS = {
    'float32': (None, False, False, False), 'TF32': (None, True, False, False),
    'float16': (torch.float16, True, False, False),
    'bfloat16': (torch.bfloat16, True, False, False),
    'float16, CUDA graph': (torch.float16, True, True, False)}
COMPILED = {
    'float16, compiled': (torch.float16, True, False, True),
    'float16, compiled, CUDA graph': (torch.float16, True, True, True),
    'float32, compiled': (None, False, False, True)}
#: Scores that matter: below, detections may come and go with rounding.
_MARGIN = 0.05


def inference(args, results):
    """Latency and throughput of every model in every form that needs no compiling."""
    _measure(args, results, FORMS)


def compiled(args, results):
    """The same for what torch.compile makes; last, for it takes long to make."""
    _measure(args, results, COMPILED)


def _measure(args, results, forms):
    for name in args.models:
        setting = None
        for form, (dtype, tf32, graph, is_compiled) in forms.items():
            if args.device == 'cpu' and (graph or form == 'TF32'):
                continue  # a CPU has neither
            if not results.time_for(f'{name} in {form}'):
                continue
            setting = setting or Setting(name, args)
            runner = Runner(setting.model, args.device, dtype, tf32, graph, is_compiled)
            results.add('inference', _row(setting, name, form, runner, args))
            del runner
        del setting
        if args.device == 'cuda':
            torch.cuda.empty_cache()
        if is_compiled:
            torch._dynamo.reset()


class Setting:
    """A model with random weights, its pictures, and what it finds in them in float32."""

    def __init__(self, name, args):
        generator = torch.Generator().manual_seed(0)
        if args.tiny:
            from tests.deployment.models import FAMILIES, build
            size = (64, 96)
        else:
            size = SIZES[name]
        coarse = torch.randn(1, 3, size[0] // 16, size[1] // 16, generator=generator)
        smooth = torch.nn.functional.interpolate(coarse, size=size, mode='bicubic')
        if args.tiny:
            model = build(FAMILIES[name]())
        else:
            model = random_model(str(CONFIGS[name]), smooth)
        self.model = model.to(args.device)
        # masks as they are on the device: what run lengths of noise take says nothing
        head_of(self.model).test_cfg['mask_format'] = 'bitmap'
        # bytes, as they come from a decoder; 0.5 at most is lost of what made the candidates
        self.pictures = (smooth[0] * 58 + 117).clamp(0, 255).byte()
        meta = dict(img_shape=size, ori_shape=(size[0] * 3 // 4, size[1] * 3 // 4), pad_shape=size,
                    batch_input_shape=size, scale_factor=(4 / 3, 4 / 3))
        self.meta = meta
        exact = Runner(self.model, args.device, None, False, False, False)
        self.expected = detections(exact(self.pictures, [meta]))


class Runner:
    """From bytes to masks, in one form."""

    def __init__(self, model, device, dtype, tf32, graph, is_compiled):
        self.device, self.tf32, self.graph = device, tf32, None
        self.detector = TimedDetector(model, dtype, compiled=is_compiled, fuse=True,
                                      channels_last=dtype is not None)
        self.wants_graph = graph
        mean, std = (torch.tensor(values, device=device).view(3, 1, 1)
                     for values in ([117.0] * 3, [58.0] * 3))
        self.normalized = lambda picture: (picture.float() - mean) / std

    def prepare(self, picture, count=1):
        """Normalized images on the device from bytes (3, h, w) of the CPU."""
        if self.device == 'cuda':
            picture = picture.pin_memory()
        images = self.normalized(picture.to(self.device, non_blocking=True))
        return images[None].expand(count, -1, -1, -1).contiguous()

    @torch.no_grad()
    def network(self, images):
        """Outputs of the head, as in :class:`TimedDetector`, captured if asked for."""
        if not self.wants_graph:
            return self._plain(images)
        if self.graph is None:
            self.static = images.clone()
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    self._plain(self.static)
            torch.cuda.current_stream().wait_stream(stream)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.outputs = self._plain(self.static)
        self.static.copy_(images)
        self.graph.replay()
        return self.outputs

    def _plain(self, images):
        if self.detector.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with self.half():
            for part in self.detector.parts:
                images = part(images)
        return images

    def half(self):
        """Autocast, or nothing in float32."""
        if self.detector.dtype is None:
            return contextlib.nullcontext()
        # weights that were cast once may not be kept beyond the capture of a graph
        return torch.autocast(self.device, self.detector.dtype,
                              cache_enabled=not self.wants_graph)

    @torch.no_grad()
    def __call__(self, picture, metas):
        """What is found in a picture, or in as many copies of it as there are metas."""
        with precision(self.tf32):
            outputs = self.network(self.prepare(picture, len(metas)))
            with self.half():
                return self.detector.head.predict_by_feat(*outputs, batch_img_metas=metas,
                                                          rescale=True)

    def backbone_share(self, picture, meta, repeat):
        """Share of the time of a picture that the backbone takes; None for a captured network."""
        if self.wants_graph:
            return None
        shares = []
        with precision(self.tf32):
            images = self.prepare(picture)
            for _ in range(repeat + 2):
                seconds = self.detector.run(images, [meta])[1]
                shares.append(seconds[0] / sum(seconds))
        return statistics.median(shares[2:])


@contextlib.contextmanager
def precision(tf32):
    """TF32 in products and convolutions, or float32 as it is."""
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    for flag in flags:
        flag.allow_tf32 = tf32
    try:
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            flag.allow_tf32 = value


def milliseconds(run, device, repeat):
    """Times of a few runs, each from a device at rest to a device at rest."""
    for _ in range(3):
        run()
    return [_once(run, device) for _ in range(repeat)]


def milliseconds_of_both(ours, theirs, device, repeat):
    """Medians of two functions that take turns, so that a GPU's clock favors none of them."""
    for _ in range(3):
        ours()
        theirs()
    times = [(_once(ours, device), _once(theirs, device)) for _ in range(repeat)]
    return tuple(map(statistics.median, zip(*times, strict=True)))


def _once(run, device):
    def now():
        if device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter()

    start = now()
    run()
    return 1e3 * (now() - start)


def detections(found):
    """Scores, labels and masks of one image as arrays."""
    one = found[0].to('cpu')
    masks = one.masks if isinstance(one.masks, torch.Tensor) else torch.from_numpy(
        one.masks.to_ndarray())
    return dict(scores=one.scores.float().numpy(), labels=one.labels.numpy(),
                masks=masks.bool().numpy())


def _row(setting, name, form, runner, args):
    picture, meta = setting.pictures, setting.meta
    found = detections(runner(picture, [meta]))
    floor = np.sort(setting.expected['scores'])[::-1][:50].min() if len(
        setting.expected['scores']) else 0.0
    agreement = compare([setting.expected], [found], float(floor), _MARGIN)
    held = agreement.matched / max(1, agreement.matched + len(agreement.missing))
    if form == 'float32' and held < 1:
        raise AssertionError(f'{name} in {form} does not repeat itself: {agreement}')
    times = milliseconds(lambda: runner(picture, [meta]), args.device, args.repeat)
    low, middle, high = np.percentile(times, (10, 50, 90))
    share = runner.backbone_share(picture, meta, args.repeat)
    rate = None
    if not (runner.wants_graph or runner.detector.dtype is None or 'compiled' in form):
        metas = [meta] * args.batch
        rate = 1e3 * args.batch / statistics.median(
            milliseconds(lambda: runner(picture, metas), args.device, max(3, args.repeat // 4)))
    return {'model': name, 'form': form, 'ms': float(middle), '10 %': float(low),
            '90 %': float(high), 'images/s': float(1e3 / middle),
            'backbone': None if share is None else float(share),
            f'images/s of {args.batch}': rate, 'found': len(found['scores']),
            'as in float32': float(held), 'score difference': float(agreement.score_difference),
            'published images/s': args.published.get(name)}
