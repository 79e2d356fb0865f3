"""Every head on the device of the tests: waits, memory, determinism, processes, whole graphs.

On the CPU the same code runs, and shows what a CPU can show.
"""
import contextlib
import copy
import warnings

import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from torch.distributed import HashStore

from mmdet_lordre.aggmask import mask_losses
from mmdet_lordre.compat import has_operators
from mmdet_lordre.deployment.network import Network
from mmdet_lordre.grid import matrix_nms, points_nms
from mmdet_lordre.masks import mask_boxes, maskness, to_original_size

from .deployment.models import FAMILIES, build, picture
from .deployment.test_half_precision import batch as half_batch
from .devices.samples import SIZE, make_batch
from .devices.test_heads import LOSS, total_of
from .on_device import needs_gpu, wait


def on(device, counts=(3, 5)):
    """A batch with ground truths on the device."""
    images, samples = make_batch(counts, device=False)
    return images.to(device), [sample.to(device) for sample in samples]


@contextlib.contextmanager
def counted_waits(device):
    """Yields a list that has, afterwards, the line that asked for every wait for a GPU; of some
    copies torch warns twice."""
    found = []
    if device == 'cpu':
        yield found
        return
    wait()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        torch.cuda.set_sync_debug_mode('warn')
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode('default')
    found += [f'{one.filename}:{one.lineno}' for one in said
              if 'synchronizing CUDA' in str(one.message)]


@contextlib.contextmanager
def no_waits(device):
    """Waiting for a GPU is an error inside."""
    if device == 'cpu':
        yield
        return
    wait()
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.fixture
def deterministic():
    """torch's deterministic algorithms alone."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize('family', FAMILIES)
def test_network_and_backward_pass_never_wait(family, device):
    model = build(FAMILIES[family]()).to(device).train()
    images, samples = on(device)
    total_of(model.loss(images, samples)).backward()  # what is made once
    model.zero_grad()
    with no_waits(device):
        outputs = Network(model)(images)
    assert all(part.device.type == device for part in tensors(outputs))
    total = total_of(model.loss(images, samples))
    with no_waits(device):
        total.backward()
    assert any(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('family', FAMILIES)
def test_waits_of_a_loss(family, device):
    """As many as on the simulated device, and one in mmcv's focal loss, which looks for labels
    that are no classes."""
    model = build(FAMILIES[family]()).to(device).train()
    images, samples = on(device)
    model.loss(images, samples)
    with counted_waits(device) as waits:
        total_of(model.loss(images, samples))
    expected = 0
    if device != 'cpu':
        expected = sum(n for n, _ in LOSS[family].values()) + has_operators(torch.device(device))
    assert len(set(waits)) == expected and len(waits) <= 2 * expected, waits


def test_post_processing_never_waits(device):
    generator = torch.Generator().manual_seed(0)
    probs = torch.rand(20, 24, 32, generator=generator)
    labels = torch.randint(3, (20,), generator=generator)
    expected = [matrix_nms(probs > 0.5, labels, probs[:, 0, 0])[0], points_nms(probs[None])]
    expected += [mask_boxes(probs > 0.9), maskness(probs, 0.5)]
    expected.append(to_original_size(probs, (96, 128), (90, 120), (61, 83), 0.5))
    probs, labels = probs.to(device), labels.to(device)
    to_original_size(probs, (96, 128), (90, 120), (61, 83), 0.5)
    with no_waits(device):
        found = [matrix_nms(probs > 0.5, labels, probs[:, 0, 0])[0], points_nms(probs[None])]
        found += [mask_boxes(probs > 0.9), maskness(probs, 0.5)]
        masks = to_original_size(probs, (96, 128), (90, 120), (61, 83), 0.5)
    for ours, theirs in zip(found, expected):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-5)
    assert (masks.cpu() == expected[-1]).float().mean() > 0.999


def tensors(outputs):
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    return [t for part in outputs or () for t in tensors(part)]


@needs_gpu
@pytest.mark.parametrize('family', FAMILIES)
def test_losses_gradients_and_predictions_are_those_of_the_cpu(family, device):
    models = [build(FAMILIES[family]()).train() for _ in range(2)]
    models[1].to(device)
    losses = [total_of(model.loss(*on(where))) for model, where in zip(models, ('cpu', device))]
    torch.testing.assert_close(losses[1].cpu(), losses[0], rtol=1e-4, atol=1e-5)
    for loss in losses:
        loss.backward()
    for ours, theirs in zip(models[1].parameters(), models[0].parameters()):
        if theirs.grad is not None:
            scale = theirs.grad.abs().max().item()
            torch.testing.assert_close(ours.grad.cpu(), theirs.grad, rtol=1e-2,
                                       atol=1e-3 * max(scale, 1e-3))
    with torch.no_grad():
        results = [model.eval().predict(*on(where, (1, 1)))
                   for model, where in zip(models, ('cpu', device))]
    for expected, found in zip(*results):
        expected, found = expected.pred_instances, found.pred_instances.to('cpu')
        assert len(found) == len(expected) > 0
        torch.testing.assert_close(found.scores, expected.scores, rtol=1e-3, atol=1e-4)
        assert (found.masks == expected.masks).float().mean() > 0.999


@needs_gpu
@pytest.mark.parametrize('family', FAMILIES)
def test_cuda_graphs(family, device):
    """A captured network gives for other images what the plain one gives."""
    network = Network(build(FAMILIES[family]()).to(device))
    images = picture(*SIZE).to(device)
    with torch.no_grad():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                network(images)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = network(images)
        images.copy_(picture(*SIZE, seed=1))
        graph.replay()
        for ours, theirs in zip(tensors(outputs), tensors(network(images))):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def held_for_the_backward_pass(model, images, samples):
    """Bytes of distinct tensors that a loss keeps, a CPU's measure of memory in training."""
    held = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        total_of(model.loss(images, samples))
    return sum(held.values())


def peak_of_a_step(model, images, samples):
    """Bytes allocated on the GPU at most in a loss and its backward pass, above what was there."""
    wait()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    total_of(model.loss(images, samples)).backward()
    wait()
    model.zero_grad()
    return torch.cuda.max_memory_allocated() - before


@pytest.mark.parametrize('family', FAMILIES)
def test_memory_is_flat_in_instances(family, device, monkeypatch):
    # AggMask keeps what is small instead of computing it again
    monkeypatch.setattr(mask_losses, '_KEPT', 0)
    model = build(FAMILIES[family]()).to(device).train()
    measure = held_for_the_backward_pass if device == 'cpu' else peak_of_a_step
    few, many = (measure(model, *on(device, (count,))) for count in (4, 120))
    if device == 'cpu':
        # Lordre by places has a mask for each instance, at the stride of its maps
        assert many < (4 if family == 'lordre_places' else 2) * few, (few, many)
    else:
        # the ground truths themselves, and what is computed of some of them at a time: less than
        # two numbers a pixel
        assert many - few < 8 * (120 - 4) * SIZE[0] * SIZE[1], (few, many)


@pytest.mark.parametrize('family', FAMILIES)
def test_training_twice_gives_the_same_bits(family, device, deterministic):
    weights = []
    for _ in range(2):
        torch.manual_seed(0)
        model = build(FAMILIES[family]()).to(device).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
        for _ in range(2):
            optimizer.zero_grad()
            total_of(model.loss(*on(device))).backward()
            optimizer.step()
        weights.append(copy.deepcopy(model.state_dict()))
    start = build(FAMILIES[family]()).state_dict()
    assert any(not torch.equal(value.cpu(), start[name]) for name, value in weights[0].items())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


@pytest.fixture
def group(device):
    """A group of this process alone, over nccl on a GPU."""
    dist.init_process_group('nccl' if device == 'cuda' else 'gloo', store=HashStore(), rank=0,
                            world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize('family', ['lordre', 'aggmask', 'polarmask'])
def test_one_process_of_a_group(family, device, group):
    """Wrapped for distributed training, a model has the gradients that it has alone."""
    alone = build(FAMILIES[family]()).to(device).train()
    total_of(alone.loss(*on(device))).backward()
    model = build(FAMILIES[family]()).to(device).train()
    wrapped = MMDistributedDataParallel(model)
    images, samples = on(device)
    total_of(wrapped(images, samples, mode='loss')).backward()
    for (name, ours), theirs in zip(model.named_parameters(), alone.parameters()):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None:
            # sums on a GPU come in another order each time
            least = 1e-5 if device == 'cpu' else max(1e-5, 1e-3 * theirs.grad.abs().max().item())
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=least, msg=name)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('family', FAMILIES)
def test_half_precision_has_finite_losses_and_gradients(family, dtype, device):
    model = build(FAMILIES[family]()).to(device).train()
    data = half_batch(device)
    with torch.autocast(device, dtype):
        losses = model.loss(data['inputs'], data['data_samples'])
    assert all(value.isfinite().all() for value in losses.values())
    assert all(value.dtype == torch.float32 for name, value in losses.items() if 'loss' in name)
    if dtype == torch.bfloat16:  # float16 needs its losses scaled
        total_of(losses).backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
