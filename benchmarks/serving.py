"""R-50 models on the CPU: PyTorch, torch.compile, onnxruntime and OpenVINO, in one run.

    python benchmarks/serving.py [--threads 2] [--repeat 10] [--models lordre solov2 ...]

Image to detections, one image at a time, the engines in turn. Without checkpoints
(``--checkpoint lordre=FILE.pth ...``) the weights are random, with the class biases set so that
about a hundred candidates pass the score threshold, as on a busy photograph. Every engine has to
find what PyTorch finds. OpenVINO is left out where it is not installed
(``pip install 'mmdet_lordre[openvino]'``).
"""
import argparse
import importlib.util
import logging
import platform
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from r50 import CONFIGS, SIZES, random_model

from mmdet_lordre.deployment.network import Network, optimized_copy
from mmdet_lordre.deployment.onnx import export_onnx
from mmdet_lordre.deployment.onnx.check import compare, score_floor
from mmdet_lordre.models import build_model, head_of


def engines(model, images, threads, folder, compiled=True):
    """(name, function that gives the detections) of what is installed."""
    size = tuple(images.shape[2:])
    meta = dict(img_shape=size, ori_shape=size, batch_input_shape=size, scale_factor=(1., 1.))

    def torch_way(network, channels_last=True):
        @torch.no_grad()
        def run():
            x = images.contiguous(memory_format=torch.channels_last) if channels_last else images
            found, = head_of(model).predict_by_feat(
                *network(x), batch_img_metas=[meta], rescale=False)
            return found
        return run

    yield 'PyTorch', torch_way(Network(model), channels_last=False)
    fast = dict(fuse=True, channels_last=True)
    yield 'PyTorch, fused, channels last', torch_way(Network(optimized_copy(model, **fast)))
    if compiled:
        for name, winograd in (('torch.compile', False), ('torch.compile, Winograd', True)):
            network = Network(optimized_copy(model, winograd=winograd, **fast))
            yield name, torch_way(
                torch.compile(network, fullgraph=True, dynamic=False))

    path = str(Path(folder) / 'model.onnx')
    export_onnx(model, path, size, end_to_end=True)
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    # threads that wait for work would take the next engine's time
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    session = onnxruntime.InferenceSession(path, options, ['CPUExecutionProvider'])
    array = images.numpy()
    yield 'onnxruntime', lambda: session.run(None, {'image': array})
    if importlib.util.find_spec('openvino'):
        import openvino
        compiled = openvino.Core().compile_model(path, 'CPU', {
            'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': 'f32',
            'ENABLE_CPU_PINNING': False})
        names = [output.get_any_name() for output in compiled.outputs]
        yield 'OpenVINO', lambda: [compiled(array)[name] for name in names]


def detections(found):
    """Scores, labels and masks or contours of what an engine gave."""
    if isinstance(found, list):
        scores, labels, masks = found[0][0], found[1][0], found[-1][0]
        held = labels >= 0
        return dict(scores=scores[held], labels=labels[held], masks=_shapes(masks[held]))
    masks = found.contours if 'contours' in found else found.masks
    masks = masks.numpy() if isinstance(masks, torch.Tensor) else masks.astype(bool)
    return dict(scores=found.scores.numpy(), labels=found.labels.numpy(), masks=_shapes(masks))


def _shapes(masks):
    """Something whose IoU can be taken: masks, or a contour's coordinates cut into bits."""
    if masks.ndim == 3 and masks.shape[2] == 2 and masks.dtype.kind == 'f':
        steps = np.arange(0, 1400, 8)
        return masks[..., None] > steps
    return masks > 0


def measure(name, args, folder):
    torch._dynamo.reset()  # it counts what it compiled, of all models together
    size = tuple(args.shape or SIZES[name])
    images = torch.randn(1, 3, size[0] // 16, size[1] // 16,
                         generator=torch.Generator().manual_seed(0))
    images = torch.nn.functional.interpolate(images, size=size, mode='bicubic')
    checkpoints = dict(pair.split('=', 1) for pair in args.checkpoint)
    config = str(CONFIGS[name])
    model = (build_model(config, checkpoints[name], 'cpu') if name in checkpoints
             else random_model(config, images))
    runs = dict(engines(model, images, args.threads, folder, not args.no_compile))
    expected = detections(runs['PyTorch']())
    for engine, run in runs.items():
        found = compare([expected], [detections(run())], score_floor(head_of(model)), 1e-2)
        if found.missing:
            print(f'{name}, {engine}: {found}')
    times = {engine: [] for engine in runs}
    for _ in range(args.repeat):
        for engine, run in runs.items():
            start = time.perf_counter()
            run()
            times[engine].append(1e3 * (time.perf_counter() - start))
    base = statistics.median(times['PyTorch'])
    for engine, values in times.items():
        median, (low, high) = statistics.median(values), np.percentile(values, (10, 90))
        print(f'| {name} | {size[0]}x{size[1]} | {len(expected["scores"])} | {engine} | '
              f'{median:.0f} | {low:.0f} to {high:.0f} | {base / median:.2f} |', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--models', nargs='+', choices=CONFIGS, default=list(CONFIGS))
    parser.add_argument('--checkpoint', nargs='+', default=[], metavar='MODEL=FILE')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeat', type=int, default=10)
    parser.add_argument('--shape', type=int, nargs=2, metavar=('H', 'W'))
    parser.add_argument('--no-compile', action='store_true', help='without torch.compile')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    versions = [f'torch {torch.__version__}'] + [
        f'{package} {importlib.import_module(package).__version__}'
        for package in ('onnxruntime', 'openvino') if importlib.util.find_spec(package)]
    print(f'{platform.machine()}, {args.threads} threads, {", ".join(versions)}; median of '
          f'{args.repeat}')
    print('| model | input | detections | engine | ms | 10 % to 90 % | times PyTorch |')
    print('|---|---|---|---|---|---|---|')
    with tempfile.TemporaryDirectory() as folder:
        for name in args.models:
            measure(name, args, folder)


if __name__ == '__main__':
    main()
