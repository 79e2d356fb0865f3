"""One run of ``learning.py``: training within a budget of CPU seconds, and what it has learned."""
import contextlib
import io
import math
import os

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from mmdet_lordre.evaluation.coco_backend import pick_backend, run_coco_eval, summarize
from mmdet_lordre.evaluation.coco_mask_metric import to_rles
from mmdet_lordre.prediction.tiled_loops import OnlyTheName, TiledPredictor
from mmdet_lordre.prediction.trained_size import tile_of
from mmdet_lordre.training.precision import slow_bfloat16
from mmdet_lordre.training.runner import ToolRunner

WARMUP = 100  # iterations


def user_seconds() -> float:
    """CPU seconds in user mode of this process (data loading takes place in it)."""
    return os.times().user


class Budget(Hook):
    """Stops at a number of CPU seconds, and lets the learning rate fall by those used.

    Evaluation is not counted. The learning rate rises over 100 iterations and falls along a cosine
    to a hundredth, whatever the config's own schedule is: that one counts iterations.

    Args:
        seconds: CPU seconds of training.
        points: How many times to evaluate, the last one at the end.
        judge: Called with the model and whether it is the last time; its figures are kept.
    """

    priority = 'LOWEST'

    def __init__(self, seconds: float, points: int, judge):
        self.seconds, self.judge = seconds, judge
        self.points = [seconds * (k + 1) / points for k in range(points)]
        self.used, self.curve, self.iterations = 0.0, [], 0

    def before_train(self, runner):
        self.rates = [group['lr'] for group in runner.optim_wrapper.optimizer.param_groups]
        self._set(runner)
        self.mark = user_seconds()

    def _set(self, runner):
        done = min(self.used / self.seconds, 1.0)
        factor = 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2
        factor *= min(1.0, (self.iterations + 1) / WARMUP)
        for group, rate in zip(runner.optim_wrapper.optimizer.param_groups, self.rates):
            group['lr'] = rate * factor

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        now = user_seconds()
        self.used += now - self.mark
        self.iterations += 1
        over = self.used >= self.seconds
        if over:
            runner.train_loop.stop_training = True
        if self.points and self.used >= self.points[0]:
            del self.points[0]
            runner.call_hook('before_val_epoch')  # an average of the weights takes their place
            found = self.judge(runner.model, over)
            runner.call_hook('after_val_epoch')
            runner.model.train()
            self.curve.append(dict(found, seconds=round(self.used, 1),
                                   iterations=self.iterations))
            print(f'    {self.used:6.0f} s {self.iterations:6d} it  '
                  + '  '.join(f'{k} {v:.3f}' for k, v in found.items()), flush=True)
        self._set(runner)
        self.mark = user_seconds()


def run(cfg, annotations: str, seed: int, seconds: float, points: int, images: int,
        folder: str, amp: bool = True, images_before: int | None = None,
        save: str | None = None) -> list[dict]:
    """Train a config within a budget.

    Args:
        cfg: From ``race_config``; changed.
        annotations: The file that it is judged by.
        seed: Of all random numbers.
        seconds: CPU seconds.
        points: Evaluations.
        images: How many validation images the last one takes, and those before it at most
            ``images_before``.
        folder: For what the runner writes.
        amp: Whether the forward pass may be in bfloat16, as it is where that is not emulated.
        save: File for the weights.

    Returns:
        A dictionary an evaluation: figures, ``seconds``, ``iterations``.
    """
    tile = tile_of(cfg)
    val_loader = cfg.val_dataloader
    runner = race_runner(cfg, seed, folder, amp)
    judge = Judge(val_loader, annotations, images, images_before or images, tile)
    budget = Budget(seconds, points, judge)
    runner.register_hook(budget, 'LOWEST')
    runner.train()
    if save:
        torch.save(dict(meta=dict(dataset_meta=judge.meta), state_dict=runner.model.state_dict()),
                   save)
    return budget.curve


def race_runner(cfg, seed: int, folder: str, amp: bool = True) -> ToolRunner:
    """What trains a config in one process, without an end, schedule or validation of its own.

    Args:
        cfg: From ``race_config``; changed.
        seed: Of all random numbers.
        folder: For what the runner writes.
        amp: Whether the forward pass may be in bfloat16, as it is where that is not emulated.
    """
    cfg.work_dir = folder
    cfg.param_scheduler = None
    cfg.val_cfg = cfg.val_evaluator = cfg.val_dataloader = None
    cfg.test_cfg = cfg.test_evaluator = cfg.test_dataloader = None
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=10**9)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False, drop_last=True)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.default_hooks = dict(logger=None, checkpoint=None, param_scheduler=None)
    cfg.log_level = 'WARNING'
    cfg.randomness = dict(seed=seed)
    cfg.experiment_name = f'race-{seed}-{user_seconds()}'
    cfg.visualizer = dict(type='Visualizer', name=cfg.experiment_name, vis_backends=[])
    cfg.optim_wrapper.type = ('BFloat16OptimWrapper' if amp and not slow_bfloat16()
                              else 'OptimWrapper')
    with contextlib.redirect_stderr(io.StringIO()):
        runner = ToolRunner.from_cfg(cfg)
    MMLogger.get_current_instance().setLevel('ERROR')
    return runner


class Judge:
    """Figures of a model on the first held-out images.

    Args:
        loader: Config of the validation loader.
        annotations: COCO annotation file of the same images.
        last: Images of the last evaluation.
        before: Images of the evaluations before it.
        tile: Side of the tiles that a model for large pictures is judged by.
    """

    def __init__(self, loader, annotations: str, last: int, before: int, tile: int | None = None):
        self.tile, self.cfg = tile, Config(dict(default_scope='mmdet', test_dataloader=loader))
        loader.update(num_workers=0, persistent_workers=False)
        with contextlib.redirect_stdout(io.StringIO()):
            self.loader = Runner.build_dataloader(loader, seed=0)
            self.truth = COCO(annotations)
        self.last, self.before = last, before
        self.meta = self.loader.dataset.metainfo
        if tile:
            self.loader.dataset.pipeline = OnlyTheName()
        names = {c['name']: c['id'] for c in self.truth.dataset['categories']}
        self.categories = [names[name] for name in self.meta['classes']]

    @torch.no_grad()
    def __call__(self, model, final: bool) -> dict[str, float]:
        model.eval()
        wanted, found = (self.last if final else self.before), {}
        for batch in self.loader:
            for sample in self._predicted(model, batch):
                results = sample.pred_instances
                found[sample.img_id] = (results.scores.float().numpy(), results.labels.numpy(),
                                        to_rles(results.masks))
            if len(found) >= wanted:
                break
        return dict(AP=self._precision(found)[0], AP50=self._precision(found)[1],
                    **self._details(found))

    def _predicted(self, model, batch):
        if not self.tile:
            return model.test_step(batch)
        return map(TiledPredictor(model, self.cfg, self.meta, self.tile), batch['data_samples'])

    def _precision(self, found):
        entries = [dict(image_id=image, category_id=self.categories[label], score=float(score),
                        segmentation=mask)
                   for image, result in found.items() for score, label, mask in zip(*result)]
        if not entries:
            return 0.0, 0.0
        with contextlib.redirect_stdout(io.StringIO()):
            figures = summarize(run_coco_eval(
                self.truth, entries, 'segm', backend=pick_backend(), cat_ids=self.categories,
                img_ids=list(found), max_dets=(1, 10, 100)))
        return figures['mAP'], figures['mAP_50']

    def _details(self, found):
        """Recall, class right and duplicates, all where the IoU is above 0.5.

        Recall counts objects that any result covers; the class is that of the best scored of
        those. Duplicates are results above 0.35 on an object that has one already, an object.
        """
        objects = covered = right = doubles = 0
        for image, (scores, labels, masks) in found.items():
            marks = [a for a in self.truth.imgToAnns[image] if not a.get('iscrowd')]
            objects += len(marks)
            if not marks or not len(scores):
                continue
            order = np.argsort(-scores, kind='stable')
            overlaps = mask_api.iou([masks[k] for k in order],
                                    [self.truth.annToRLE(a) for a in marks], [0] * len(marks))
            hit = overlaps > 0.5
            first, any_hit = hit.argmax(0), hit.any(0)
            covered += any_hit.sum()
            right += sum(self.categories[labels[order[k]]] == a['category_id']
                         for k, a, h in zip(first, marks, any_hit) if h)
            sure = hit[scores[order] > 0.35].sum(0)
            doubles += np.maximum(sure - 1, 0).sum()
        return dict(recall=float(covered / max(objects, 1)), right=float(right / max(covered, 1)),
                    duplicates=float(doubles / max(objects, 1)))
