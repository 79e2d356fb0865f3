"""No step is made along losses or gradients that are NaN or infinite."""
import math
from collections.abc import Callable
from functools import partial, update_wrapper

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, all_reduce, barrier, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner

from ..errors import UserError
from .interrupt import save_state


class NonFiniteError(UserError):
    """A loss or a gradient is NaN or infinite: which, where, and where the state was saved."""


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stops before a step along a NaN or infinite loss, or leaves the batch out.

    The state before the iteration (weights, also the running means that its forward pass
    changed, optimizer, schedulers) is saved first, so that ``--resume`` of that file repeats the
    iteration with the same images. All processes come to the same conclusion. Gradients are
    looked at as well, except with loss scaling, which expects some to overflow and leaves such
    steps out by itself.

    mmengine's log takes every loss to the CPU in every iteration anyway: looking at them here
    costs no further wait for a GPU.

    Args:
        max_skipped: Batches of the whole run that may be left out. 0 stops at the first.
    """

    priority = 'VERY_HIGH'

    def __init__(self, max_skipped: int = 0):
        self.max_skipped = max_skipped
        self._seen = []     # (losses by name, images) since the last step
        self._said = ''     # by a part of the model that noticed first
        self._replaced = []  # (object, name of its method, what of that name it had itself)

    def before_train(self, runner: Runner) -> None:
        """Stand between the loop and the model's losses, its forward pass and the step."""
        if not isinstance(runner.optim_wrapper, OptimWrapper):
            return  # several optimizers step in an order of their own
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._buffers = [b for b in model.buffers() if b.numel()]
        self._kept = [b.clone() for b in self._buffers]
        wrapper = runner.optim_wrapper
        self._replace(model, 'parse_losses', partial(self._parse_losses, model.parse_losses))
        self._replace(model, 'forward', partial(self._forward, model, model.forward))
        # the schedulers look for a mark that they left on it
        self._replace(wrapper, 'step', update_wrapper(partial(self._step, runner, wrapper.step),
                                                      wrapper.step))

    def _replace(self, owner: object, name: str, method: Callable) -> None:
        # a class's method has no place in the object; one that was put there before has
        self._replaced.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, method)

    def release(self) -> None:
        """Put back what :meth:`before_train` replaced; a second call changes nothing."""
        while self._replaced:
            owner, name, before = self._replaced.pop()
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    def after_train(self, runner: Runner) -> None:
        """Training has ended: the model is as it was."""
        self.release()

    def before_train_iter(self, runner: Runner, batch_idx: int,
                          data_batch: dict | None = None) -> None:
        """Keep what the forward pass may change."""
        self._images = _names(data_batch)
        for kept, buffer in zip(self._kept, self._buffers):
            kept.copy_(buffer)

    def _forward(self, model, forward, *args, **kwargs):
        try:
            return forward(*args, **kwargs)
        except FloatingPointError as error:
            if kwargs.get('mode') != 'loss':
                raise
            # with other processes the models let such values flow into their losses
            self._said = str(error)
            zero = sum((p * 0).sum() for p in model.parameters() if p.requires_grad)
            return dict(loss_predictions=zero * math.nan)

    def _parse_losses(self, parse, losses):
        total, log = parse(losses)
        self._seen.append((log, self._images))
        return total, log

    def _step(self, runner, step, **kwargs):
        if self._is_finite(runner.optim_wrapper):
            self._seen.clear()
            return step(**kwargs)
        reports = [r for r in _everyones(self._report()) if r] or [self._gradient_report(runner)]
        for log, _ in self._seen:
            log.clear()  # averages in the log stay those of the batches that counted
        self._seen.clear()
        self._said = ''
        for kept, buffer in zip(self._kept, self._buffers):
            buffer.copy_(kept)
        message = f'iteration {runner.iter + 1}: {"; ".join(reports)}'
        skipped = runner.message_hub.runtime_info.get('batches_left_out', 0)
        if skipped < self.max_skipped:
            runner.message_hub.update_info('batches_left_out', skipped + 1)
            runner.logger.warning(f'{message}: left out ({skipped + 1} of at most '
                                  f'{self.max_skipped})')
            return None
        path = save_state(runner, f'before_nonfinite_iter_{runner.iter + 1}.pth', runner.epoch,
                          runner.iter)
        if get_world_size() > 1:
            barrier()  # or a launcher that sees one process end would end the one that writes
        limit = f' after {skipped} that were left out' if skipped else ''
        raise NonFiniteError(
            f'{message}{limit}. The state before it is in {path}; lower the learning rate, clip '
            'gradients, train without half precision, or leave such batches out with '
            '--skip-nonfinite N')

    def _is_finite(self, wrapper):
        totals = [log['loss'].detach().float().reshape(()) for log, _ in self._seen]
        if not isinstance(wrapper, AmpOptimWrapper):
            gradients = _gradients(wrapper)
            totals += [n.float() for n in torch._foreach_norm(gradients)] if gradients else []
        if not totals:
            return True
        finite = torch.stack(totals).isfinite().all().float()
        if get_world_size() > 1:
            all_reduce(finite, 'min')
        return bool(finite)

    def _report(self):
        """What the losses of this process say, or '' when they are finite."""
        parts = []
        for log, images in self._seen:
            bad = [f'{name} is {value.item()}' for name, value in log.items()
                   if not bool(torch.isfinite(value).all())]
            # the sum is bad whenever a part of it is
            bad = [text for text in bad if not text.startswith('loss is ')] or bad
            if bad:
                parts.append(f'{", ".join(bad)} (images {", ".join(images)})')
        if parts and self._said:
            parts.append(self._said)
        return '; '.join(parts)

    def _gradient_report(self, runner):
        """The first bad gradient, which is the same in all processes."""
        names = [name for name, p in runner.model.named_parameters()
                 if p.grad is not None and not bool(p.grad.isfinite().all())]
        images = [name for _, images in self._seen for name in images]
        return (f'all losses are finite, but not the gradient of {", ".join(names[:1])} '
                f'(images {", ".join(images)})')


def _gradients(wrapper):
    return [p.grad for group in wrapper.optimizer.param_groups for p in group['params']
            if p.grad is not None]


def _everyones(report):
    return all_gather_object(report) if get_world_size() > 1 else [report]


def _names(data_batch):
    """Ids of the images of a batch, with their file names."""
    samples = (data_batch or {}).get('data_samples', ()) if isinstance(data_batch, dict) else ()
    return [f'{getattr(s, "img_id", "?")} = {getattr(s, "img_path", "?")}' for s in samples]
