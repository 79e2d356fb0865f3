"""A training step, targets and Matrix NMS on a GPU, beside mmdet's; a part of gpu.py."""
import statistics
from functools import partial

import torch
from gpu_inference import detections, milliseconds, milliseconds_of_both, precision
from grid import check_targets, random_masks
from grid_common import (
    build_heads,
    build_model,
    peak_bytes,
    pyramid,
    random_instances,
    sample_of,
    share_of,
)
from mmdet.models.layers import mask_matrix_nms
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from r50 import CONFIGS, SIZES, random_model
from torch import nn
from torch.nn import functional as F

from mmdet_lordre.compat import has_operators
from mmdet_lordre.config.reading import leaf_datasets
from mmdet_lordre.deployment.onnx.check import compare
from mmdet_lordre.grid import matrix_nms
from mmdet_lordre.models import head_of

STRIDE = 4


class OneHot(nn.Module):
    """mmdet's focal loss where mmcv has no operator for it."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, logits, labels, **kwargs):
        labels = F.one_hot(labels, logits.shape[1] + 1)[:, :-1]
        return self.loss(logits, labels, **kwargs)


def _with_operators(head, device):
    if not has_operators(device):
        head.loss_cls = OneHot(head.loss_cls)
    return head


def training(args, results):
    """A step of every model, and of SOLOv2 with mmdet's head, by the number of instances."""
    for name in ('solov2', *(name for name in args.models if name != 'solov2')):
        if name not in args.models:
            continue
        size = (128, 160) if args.tiny else SIZES[name]
        models = None
        for count in args.instances:
            if not results.time_for(f'training {name} with {count} instances'):
                continue
            models = models or _models(name, args, size)
            steps = {whose: Step(model, size, count, args.device)
                     for whose, model in models.items()}
            if name == 'solov2' or not args.tiny:   # other tiny models have strides of their own
                steps['ours, masks from workers'] = Step(models['ours'], size, count, args.device,
                                                         of_workers(name))
            reference = steps.get('mmdet')
            if reference:
                _check_losses(steps['ours'], reference)
            for whose, step in steps.items():
                results.add('training', step.measure(name, whose, count, args.repeat))
        del models


def _models(name, args, size):
    """Ours and, of SOLOv2, mmdet's with the same weights."""
    if name == 'solov2' and not args.tiny:
        ours, theirs = (build_model(kind, args.device)
                        for kind in ('SOLOv2KernelHead', 'SOLOV2Head'))
        ours.load_state_dict(theirs.state_dict(), strict=True)
        ours.mask_head.mask_normalizer = 'cells'
        _with_operators(theirs.mask_head, args.device)
        return dict(ours=ours, mmdet=theirs)
    if args.tiny:
        if name == 'solov2':
            ours, theirs = build_heads(args.device, narrow=True)
            _with_operators(theirs, args.device)
            return dict(ours=HeadAlone(ours), mmdet=HeadAlone(theirs))
        from tests.deployment.models import FAMILIES, build
        return dict(ours=build(FAMILIES[name]()).to(args.device).train())
    model = random_model(str(CONFIGS[name]), torch.zeros(1, 3, *size))
    return dict(ours=model.to(args.device).train())


def of_workers(name):
    """What the loading processes do to masks in the training of a model's own config."""
    data, = leaf_datasets(Config.fromfile(CONFIGS[name]).train_dataloader.dataset)
    return TRANSFORMS.build(data['pipeline'][-2])


class HeadAlone(nn.Module):
    """A head on features that it would get from a neck: a model for tiny runs."""

    def __init__(self, head):
        super().__init__()
        self.mask_head = head.train()

    def loss(self, images, samples):
        """Losses of features drawn for the size of the images."""
        generator = torch.Generator().manual_seed(1)
        height, width = images.shape[2:]
        levels = [torch.randn(1, 256, -(-height // s), -(-width // s), generator=generator)
                  .to(images.device) for s in (4, 8, 16, 32, 64)]
        return self.mask_head.loss(levels, samples)


class Step:
    """Losses and gradients of one image, from bitmaps or from what workers make of them."""

    def __init__(self, model, size, count, device, workers=None):
        self.model, self.device = model, device
        generator = torch.Generator().manual_seed(2)
        self.images = torch.randn(1, 3, *size, generator=generator).to(device)
        classes = head_of(model).num_classes
        instances = random_instances(count, *size)
        instances.labels %= classes
        if workers:
            instances.masks = workers.transform(dict(gt_masks=instances.masks))['gt_masks']
        self.sample = lambda: [sample_of(instances, *size, device)]

    def losses(self):
        """As the model returns them."""
        return self.model.loss(self.images, self.sample())

    def __call__(self):
        self.model.zero_grad(set_to_none=True)
        losses = self.losses()
        sum(value if torch.is_tensor(value) else sum(value)
            for name, value in losses.items() if 'loss' in name).backward()

    def measure(self, name, whose, count, repeat):
        """A row of the table."""
        self()
        peak, _ = peak_bytes(self, self.device)
        times = milliseconds(self, self.device, max(2, repeat // 4))
        total, part = share_of(head_of(self.model), 'loss_by_feat', self, self.device)
        self.model.zero_grad(set_to_none=True)
        return {'model': name, 'whose': whose, 'instances': count,
                'ms': float(statistics.median(times)), 'peak, MB': float(peak / 1e6),
                'targets and losses': float(part / total)}


def _check_losses(ours, theirs):
    """Equal, but for a cell that rounding moves across a boundary."""
    with torch.no_grad(), precision(False):
        found, expected = ours.losses(), theirs.losses()
    for key in ('loss_mask', 'loss_cls'):
        torch.testing.assert_close(found[key], expected[key], rtol=1e-2, atol=1e-4, msg=key)


def operations(args, results):
    """SOLOv2's head, targets and Matrix NMS, beside mmdet's."""
    size = (128, 160) if args.tiny else (800, 1344)
    _heads(args, results, size)
    _targets(args, results, size)
    _matrix_nms(args, results)


def _heads(args, results, size):
    """SOLOv2's head from a neck's maps to masks of the picture, with mmdet's weights and inputs."""
    if not results.time_for('heads'):
        return
    ours, theirs = (head.eval() for head in build_heads(args.device, narrow=args.tiny))
    levels = [level.detach() for level in pyramid(*size, args.device)]
    samples = [sample_of(random_instances(1, *size), *size, args.device)]
    with torch.no_grad(), precision(False):
        # some hundred cells above the threshold, as a trained head has
        logits = torch.cat([part.flatten() for part in ours(levels)[1]])
        shift = torch.tensor(0.1).logit().to(logits) - logits.topk(150).values[-1]
        for head in (ours, theirs):
            head.conv_cls.bias += shift

        def run(head):
            return head.predict(levels, samples, rescale=True)

        found, expected = (detections(run(head)) for head in (ours, theirs))
        agreement = compare([expected], [found], 0.0, 1e-2)
        assert agreement.matched and not agreement.missing, f'heads: {agreement}'
        fast, slow = milliseconds_of_both(partial(run, ours), partial(run, theirs), args.device,
                                          args.repeat)
    results.add('heads', {'found': len(found['scores']), 'ours': float(fast),
                          'mmdet': float(slow), 'ratio': float(slow / fast)})


def _targets(args, results, size):
    if not results.time_for('targets'):
        return
    ours, theirs = build_heads(args.device, narrow=True)
    maps = (size[0] // STRIDE, size[1] // STRIDE)
    for count in args.instances:
        truth = sample_of(random_instances(count, *size), *size, args.device).gt_instances

        def our_targets(truth=truth):
            return ours.targets([truth], maps, args.device)

        def their_targets(truth=truth):
            return theirs._get_targets_single(truth, featmap_sizes=maps)

        truths, found = our_targets()
        moved, pairs = check_targets(found, truths, their_targets(), ours.num_grids)
        fast, slow = milliseconds_of_both(our_targets, their_targets, args.device,
                                          max(2, args.repeat // 4))
        results.add('targets', {'instances': count, 'pairs': pairs, 'moved cells': moved,
                                'ours': float(fast), 'mmdet': float(slow),
                                'ratio': float(slow / fast)})


def _matrix_nms(args, results):
    for classes in (80, 1):
        for count in (20,) if args.tiny else (100, 300, 500):
            if not results.time_for(f'Matrix NMS of {count} masks of {classes} classes'):
                continue
            masks, labels, scores = random_masks(count, classes, args.device)
            areas = masks.sum((1, 2)).float()
            options = dict(nms_pre=500, filter_thr=0.05, max_num=100, sigma=2.0)

            def ours(given=(masks, labels, scores, areas), options=options):
                return matrix_nms(*given, **options)

            def theirs(given=(masks, labels, scores, areas), options=options):
                return mask_matrix_nms(*given[:3], mask_area=given[3], **options)

            with precision(False):
                found, expected = ours(), theirs()
                torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-5)
                assert torch.equal(found[2], expected[3]), 'kept masks'
                fast, slow = milliseconds_of_both(ours, theirs, args.device, args.repeat)
            results.add('nms', {'classes': classes, 'masks': count, 'ours': float(fast),
                                'mmdet': float(slow), 'ratio': float(slow / fast)})
