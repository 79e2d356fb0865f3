"""mmengine's runner, with a readable console, CPU groups and checkpoints that must fit."""
import contextlib
import io
import os

import torch
from mmdet.registry import RUNNERS
from mmengine.device import get_device
from mmengine.dist import is_distributed, master_only
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, convert_sync_batchnorm, is_model_wrapper
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from torch.nn.parallel import DistributedDataParallel

from ..checkpoints.partial_load import match_state_dict, state_dict_of
from ..checkpoints.safe_load import read_checkpoint
from ..config.reading import model_class_counts
from ..errors import UserError
from ..files import atomic_write
from .console import readable
from .distributed import init_cpu_group
from .interrupt import Interrupted, InterruptHook
from .nonfinite import NonFiniteHook
from .reproducible import reproducible_loader, reproducible_loop
from .resume import check_resumable, read_resumable
from .workers import guard_workers


@RUNNERS.register_module()
class ToolRunner(Runner):
    """What ``tools/train.py`` and ``tools/test.py`` run.

    Configurations are mmengine's and run under its own ``Runner`` too. Here, in addition:

    - page-long messages go to the log file and iterations are short lines;
    - several processes without a GPU talk through gloo;
    - checkpoints appear whole or not at all, a damaged one is passed over by ``resume``, and
      training goes on from one exactly as if it had not been interrupted;
    - NaN and infinite losses stop training before they reach the weights, and a signal stops it
      between two iterations, with the state saved;
    - resuming and testing demand a checkpoint that fits the model, fine-tuning
      (``load_from``) loads what fits and prints a short table of what it left out.
    """

    _read = (None, None)  # path and content of a checkpoint that was looked at already

    def setup_env(self, env_cfg):
        if self.distributed and not is_distributed() and get_device() == 'cpu':
            init_cpu_group(self.launcher, env_cfg.get('dist_cfg', {}).get('timeout'))
        super().setup_env(env_cfg)

    def build_logger(self, *args, **kwargs):
        return readable(super().build_logger(*args, **kwargs))

    def train(self):
        """Train, from the beginning or from a checkpoint; see the class.

        Raises:
            UserError: a checkpoint that cannot be gone on from, or values that are not finite.
            Interrupted: a signal asked for it.
        """
        if self._resume:
            self._choose_checkpoint()
        stop = InterruptHook()
        self.register_hook(stop)
        if not any(isinstance(hook, NonFiniteHook) for hook in self.hooks):
            self.register_hook(NonFiniteHook())
        try:
            return super().train()
        except Exception as error:
            if stop.asked is None or isinstance(error, UserError):
                raise
            # another process stopped, or a worker was told to
            raise Interrupted('interrupted', stop.asked) from error
        finally:
            stop.release()
            for hook in self.hooks:
                if isinstance(hook, NonFiniteHook):  # also when an error ended it
                    hook.release()

    def _choose_checkpoint(self):
        """Read what to go on from, for its seed is needed before anything is built."""
        if self._load_from is None:
            found = read_resumable(self.work_dir, self.logger.warning)
            if found is None:
                self._resume = False
                return
            self._load_from, self._read = found[0], found
        else:
            self._read = self._load_from, read_checkpoint(self._load_from)
            check_resumable(self._read[1], self._load_from)
        seed = self._read[1]['meta'].get('seed')
        if seed is not None and seed != self.seed:
            if self._randomness_cfg.get('seed') is not None:
                self.logger.warning(f'the run began with seed {seed}: it goes on with that one')
            self._randomness_cfg['seed'] = seed
            self.set_randomness(**self._randomness_cfg)

    def build_train_loop(self, loop):
        ours = reproducible_loop(loop) if isinstance(loop, dict) else None
        if ours is not None:
            loader = self._train_dataloader
            if isinstance(loader, dict):
                loader = self.build_dataloader(
                    loader, seed=self.seed,
                    diff_rank_seed=self._randomness_cfg.get('diff_rank_seed', False))
            if loader.batch_sampler is not None:
                self._train_dataloader = reproducible_loader(loader, self.seed)
                loop = ours
        return super().build_train_loop(loop)

    def register_hook(self, hook, priority=None):
        if isinstance(hook, dict) and hook.get('type') in ('CheckpointHook', CheckpointHook):
            hook = dict(hook, type='AtomicCheckpointHook')
        super().register_hook(hook, priority)

    @master_only
    def save_checkpoint(self, out_dir, filename, *args, **kwargs):
        if '://' in str(out_dir):
            return super().save_checkpoint(out_dir, filename, *args, **kwargs)
        os.makedirs(out_dir, exist_ok=True)
        with atomic_write(os.path.join(out_dir, filename)) as unfinished:
            super().save_checkpoint(out_dir, os.path.basename(unfinished), *args, **kwargs)

    @staticmethod
    def build_dataloader(*args, **kwargs):
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            return guard_workers(Runner.build_dataloader(*args, **kwargs))

    def build_evaluator(self, evaluator):
        with contextlib.redirect_stdout(io.StringIO()):
            return super().build_evaluator(evaluator)

    def wrap_model(self, model_wrapper_cfg, model):
        if not self.distributed or is_model_wrapper(model) or get_device() != 'cpu':
            return super().wrap_model(model_wrapper_cfg, model)
        # mmengine always names a GPU to DistributedDataParallel, which a CPU module refuses
        if self.cfg.get('sync_bn') is not None:
            model = convert_sync_batchnorm(model, self.cfg.sync_bn)
        if model_wrapper_cfg is None:
            return MMDistributedDataParallel(
                module=model, broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters', False))
        wrapper = dict(type='MMDistributedDataParallel', **model_wrapper_cfg)
        defaults = dict(module=model)
        if issubclass(MODEL_WRAPPERS.get(wrapper['type']), DistributedDataParallel):
            defaults['device_ids'] = None
        return MODEL_WRAPPERS.build(wrapper, default_args=defaults)

    def load_checkpoint(self, filename, map_location='cpu', strict=False,
                        revise_keys=((r'^module\.', ''),)):
        """Load weights into the model, completely unless this is fine-tuning.

        Raises:
            UserError: the file cannot be read, is refused, or does not fit.
        """
        path, checkpoint = self._read
        self._read = (None, None)
        if path != filename:
            checkpoint = read_checkpoint(filename, map_location)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        fit = match_state_dict(model, state_dict_of(checkpoint), revise_keys)
        finetuning = not self._resume and self._train_loop is not None \
            and not isinstance(self._train_loop, dict)
        if not finetuning:
            counts = list(model_class_counts(self.cfg).values())
            fit.demand_complete(filename, self.cfg.filename or 'the config',
                                counts[0] if counts else None)
        if not fit.state:
            raise UserError(f'nothing in {filename} fits the model: '
                            'is it a checkpoint of this family, and converted?')
        _load_checkpoint_to_model(model, dict(state_dict=fit.state), strict=False,
                                  logger='silent', revise_keys=[])
        table = fit.table()
        self.logger.info(f'Loaded {len(fit.state)} of {fit.total} tensors from {filename}'
                         + (f'\n{table}' if table else ''))
        self._has_loaded = True
        return checkpoint

    def resume(self, filename, *args, **kwargs):
        """Continue from a checkpoint that training wrote."""
        super().resume(filename, *args, **kwargs)
        print_log(f'Continuing from epoch {self.epoch}, iteration {self.iter}', self.logger)


def work_dir_of(config_path, work_dir):
    """Where a run writes: what was asked for, or ``work_dirs/<config name>``."""
    name = os.path.splitext(os.path.basename(config_path))[0]
    return work_dir or os.path.join('work_dirs', name)


def device_name():
    """What the model will run on, in words."""
    device = get_device()
    if device == 'cuda':
        return torch.cuda.get_device_name()
    return f'{device} ({torch.get_num_threads()} threads)' if device == 'cpu' else device
