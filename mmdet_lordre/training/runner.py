"""mmengine's runner, with a readable console, CPU groups and checkpoints that must fit."""
import contextlib
import copy
import io
import os
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import RUNNERS, VISUALIZERS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed, is_main_process, master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import MessageHub, MMLogger, print_log
from mmengine.model import MMDistributedDataParallel, convert_sync_batchnorm, is_model_wrapper
from mmengine.registry import MODEL_WRAPPERS, DefaultScope
from mmengine.runner import BaseLoop, Runner
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmengine.visualization import Visualizer
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from ..checkpoints.partial_load import match_state_dict, state_dict_of
from ..checkpoints.safe_load import read_checkpoint
from ..config.classes import class_names_of, classes_in, differing_classes
from ..config.formatted import formatted_once
from ..config.reading import model_class_counts, type_name
from ..devices import few_threads
from ..errors import UserError
from ..files import atomic_write
from ..text import listed, plural
from .console import readable
from .denormals import denormals_are_zero
from .distributed import init_cpu_group
from .interrupt import Interrupted, InterruptHook
from .nonfinite import NonFiniteHook
from .progress import progress_hook
from .reproducible import reproducible_loader, reproducible_loop
from .resume import check_resumable, read_resumable
from .settings import check_made_alike, check_optimizer, kept_settings, settings_of
from .space import check_space
from .timed import TIMED, TimedSchedule
from .workers import guard_workers

#: Hooks of mmengine, and those here that do more.
_IN_PLACE_OF = dict(CheckpointHook='AtomicCheckpointHook', LoggerHook='SteadyLoggerHook',
                    EarlyStoppingHook='KeptEarlyStoppingHook')
#: First line of the configs that a run writes into its work folder.
_WRITTEN = '# The whole config of a run, written by mmdet_lordre.\n'


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

    #: Whether everything is built and iterations have begun.
    began = False
    #: The iteration that they have begun with.
    first_iter = 0
    _read = (None, None)  # path and content of a checkpoint that was looked at already

    def __init__(self, *args: Any, cfg: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, cfg=formatted_once(cfg) if type(cfg) is Config else cfg, **kwargs)

    def setup_env(self, env_cfg: dict) -> None:
        if self.distributed and not is_distributed() and get_device() == 'cpu':
            init_cpu_group(self.launcher, env_cfg.get('dist_cfg', {}).get('timeout'))
        super().setup_env(env_cfg)

    def set_randomness(self, seed: int | None = None, diff_rank_seed: bool = False,
                       deterministic: bool = False) -> None:
        if deterministic:
            # what cuBLAS needs for it, before it is first used
            os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        super().set_randomness(seed, diff_rank_seed, deterministic)

    def build_message_hub(self, message_hub: dict | None = None) -> MessageHub:
        # both are known by the config's name and the second: a run that begins within the same
        # second in the same process would go on with what another has left there
        MessageHub._instance_dict.pop(self._experiment_name, None)
        return super().build_message_hub(message_hub)

    def build_visualizer(self, visualizer: Visualizer | dict | None = None) -> Visualizer:
        # known by the config's name for it: a second run in the process would write its scalars
        # into the folder of the first
        if not isinstance(visualizer, Visualizer):
            kind = (visualizer or {}).get('type', Visualizer)
            kind = VISUALIZERS.get(kind) if isinstance(kind, str) else kind
            name = (visualizer or {}).get('name', self._experiment_name)
            for cls in (kind, Visualizer):
                getattr(cls, '_instance_dict', {}).pop(name, None)
        return super().build_visualizer(visualizer)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        MMLogger._instance_dict.pop(self._experiment_name, None)
        return readable(super().build_logger(*args, **kwargs))

    def release(self) -> None:
        """Close the log, and forget the run, whose parts mmengine keeps as long as the process."""
        for handler in list(self.logger.handlers):
            handler.close()
            self.logger.removeHandler(handler)
        for kind in (MMLogger, MessageHub, DefaultScope):
            kind._instance_dict.pop(self._experiment_name, None)
        for kind in (type(self.visualizer), Visualizer):
            kind._instance_dict.pop(self.visualizer.instance_name, None)

    @master_only
    def dump_config(self) -> None:
        """Keep the config in the work folder; beside the log where another has its name.

        Not before it is known that the run can go on from where it is to (:meth:`train`). Who
        trains with the file that is kept begins anew.
        """
        if self._resume and self._read[0] is None:
            return
        cfg = copy.deepcopy(self.cfg)
        if cfg.get('resume'):
            cfg.resume, cfg.load_from = False, None
        name = os.path.basename(self.cfg.filename or f'{self.timestamp}.py')
        target = os.path.join(self.work_dir, name)
        if os.path.lexists(target) and not _is_written_by_a_run(target):
            target = os.path.join(self.log_dir, name)
        cfg.dump(target)
        if target.endswith('.py'):
            with open(target, 'r+', encoding='utf-8') as file:
                text = file.read()
                file.seek(0)
                file.write(_WRITTEN + text)

    def train(self) -> nn.Module:
        """Train, from the beginning or from a checkpoint; see the class.

        Raises:
            UserError: A checkpoint that cannot be gone on from, or values that are not finite.
            Interrupted: A signal asked for it.
        """
        if self._resume:
            self._choose_checkpoint()
            self.dump_config()
        stop = InterruptHook()
        self.register_hook(stop)
        if not any(isinstance(hook, NonFiniteHook) for hook in self.hooks):
            self.register_hook(NonFiniteHook())
        bar = progress_hook() if is_main_process() else None
        if bar is not None:
            self.register_hook(bar)
        try:
            with denormals_are_zero(), few_threads(get_device()):
                return super().train()
        except Exception as error:
            if stop.asked is None or isinstance(error, UserError):
                raise
            # another process stopped, or a worker was told to
            raise Interrupted('interrupted', stop.asked) from error
        finally:
            if bar is not None:
                bar.release()
            stop.release()
            for hook in self.hooks:
                if isinstance(hook, NonFiniteHook):  # also when an error ended it
                    hook.release()

    def test(self) -> dict[str, float]:
        """Judge; see the class."""
        with few_threads(get_device()):
            return super().test()

    def load_or_resume(self) -> None:
        """Load what the run starts from, and see to it that there is room for what it writes."""
        super().load_or_resume()
        if self._train_loop is not None and not isinstance(self._train_loop, dict):
            if self._resume and self.iter >= self.max_iters:
                self.logger.warning(f'nothing is left to train: the checkpoint is at iteration '
                                    f'{self.iter} of {self.max_iters}')
            if is_main_process():
                check_space(self, self.logger.warning)
            self.began, self.first_iter = True, self.iter

    def _choose_checkpoint(self) -> None:
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
        self._demand_same_classes(*self._read)
        seed = self._read[1]['meta'].get('seed')
        if seed is not None and seed != self.seed:
            if self._randomness_cfg.get('seed') is not None:
                self.logger.warning(f'the run started with seed {seed}: it continues with that one')
            self._randomness_cfg['seed'] = seed
            self.set_randomness(**self._randomness_cfg)

    def _demand_same_classes(self, path: str, checkpoint: dict) -> None:
        before, _ = classes_in(checkpoint, path)
        now = class_names_of(self.cfg)
        differ = differing_classes(before, now) if before and now else ''
        if differ:
            # a class may have lost its last object, or was left out of the training before
            keep = ' (--keep-empty-classes keeps those without objects)' * (set(now) < set(before))
            raise UserError(f'{path} cannot be resumed, because labels would change their meaning: '
                            f'{differ}. List the classes of the data as {listed(before)} in this '
                            f'order{keep}, or start a new run with --load-from')

    def _demand_made_alike(self, path: str, checkpoint: dict) -> None:
        before = TIMED in checkpoint['message_hub'].get('runtime_info', {})
        now = any(isinstance(hook, TimedSchedule) for hook in self.hooks)
        if before and not now:
            raise UserError(f'{path} comes from a run with --minutes: resume it with --minutes as '
                            'well, or start a new run with --load-from')
        if 'ema_state_dict' in checkpoint and not any(isinstance(h, EMAHook) for h in self.hooks):
            raise UserError(f'{path} contains averaged (EMA) weights as well as the trained ones, '
                            'but the config has no EMAHook to tell them apart: add the one that '
                            'the run started with, or start a new run with --load-from')
        schedulers = self.param_schedulers
        if now and not before and checkpoint.get('param_schedulers'):
            self.logger.warning('the run started with schedulers of its own: from here on its '
                                'learning rate follows --minutes')
            schedulers = None
        check_made_alike(checkpoint, path, self.optim_wrapper, schedulers)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
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

    def register_hook(self, hook: Hook | dict, priority: Any = None) -> None:
        if isinstance(hook, dict):
            kind = hook.get('type')
            package = kind.rpartition('.')[0] if isinstance(kind, str) else \
                getattr(kind, '__module__', '')
            if package.split('.')[0] in ('', 'mmengine') and type_name(hook) in _IN_PLACE_OF:
                hook = dict(hook, type=_IN_PLACE_OF[type_name(hook)])
        super().register_hook(hook, priority)

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        if '://' in str(out_dir):
            return super().save_checkpoint(out_dir, filename, *args, **kwargs)
        path = os.path.join(out_dir, filename)
        try:
            os.makedirs(out_dir, exist_ok=True)
            with atomic_write(path) as unfinished:
                super().save_checkpoint(out_dir, os.path.basename(unfinished), *args, **kwargs)
        except OSError as error:
            raise UserError(f'the checkpoint {path} cannot be written: {error.strerror or error}. '
                            'Earlier checkpoints are intact: free some space there, and continue '
                            'with --resume') from error

    @staticmethod
    def build_dataloader(*args: Any, **kwargs: Any) -> DataLoader:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            return guard_workers(Runner.build_dataloader(*args, **kwargs))

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        with contextlib.redirect_stdout(io.StringIO()):
            return super().build_evaluator(evaluator)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
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

    def load_checkpoint(self, filename: str, map_location: Any = 'cpu', strict: bool = False,
                        revise_keys: Sequence[tuple[str, str]] = ((r'^module\.', ''),)) -> dict:
        """Load weights into the model, completely unless this is fine-tuning.

        Args:
            filename: Path or address.
            map_location: Where its tensors go.
            strict: Not used: what must fit is said above.
            revise_keys: (pattern, replacement) of names in the file.

        Returns:
            What the file holds.

        Raises:
            UserError: The file cannot be read, is refused, or does not fit.
        """
        path, checkpoint = self._read
        self._read = (None, None)
        if path != filename:
            checkpoint = read_checkpoint(filename, map_location)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        fit = match_state_dict(model, state_dict_of(checkpoint, filename), revise_keys)
        finetuning = not self._resume and self._train_loop is not None \
            and not isinstance(self._train_loop, dict)
        if not finetuning:
            counts = list(model_class_counts(self.cfg).values())
            fit.demand_complete(filename, self.cfg.filename or 'the config',
                                counts[0] if counts else None)
        if not self._resume:
            fit.demand_finite(filename)
        if not fit.state:
            raise UserError(f'nothing in {filename} fits the model: '
                            'is it a checkpoint of this family, and converted?')
        _load_checkpoint_to_model(model, dict(state_dict=fit.state), strict=False,
                                  logger='silent', revise_keys=[])
        if finetuning:
            before, _ = classes_in(checkpoint, filename)
            now = class_names_of(self.cfg)
            if before and now and (differ := differing_classes(before, now)):
                self.logger.warning(f'classes differ from those of {filename}: {differ}')
        table = fit.table()
        self.logger.info(f'Loaded {len(fit.state)} of {fit.total} tensors from {filename}'
                         + (f'\n{table}' if table else ''))
        self._has_loaded = True
        if self._resume:
            self._demand_made_alike(filename, checkpoint)
            # mmengine would run the text of the config in there to look for a number of GPUs
            meta = {key: value for key, value in checkpoint['meta'].items() if key != 'config'}
            checkpoint = dict(checkpoint, meta=meta)
        return checkpoint

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Continue from a checkpoint that training wrote.

        Raises:
            UserError: The state of the optimizer or of a scheduler in it does not fit.
        """
        wanted = settings_of(self.optim_wrapper, self.param_schedulers)
        try:
            super().resume(filename, *args, **kwargs)
            check_optimizer(self.optim_wrapper)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            what = f'there is no {error} in its state' if isinstance(error, KeyError) else error
            raise UserError(f'{filename} cannot be resumed with this config, whose optimizer or '
                            f'schedulers differ: {what}; start a new run with '
                            '--load-from') from error
        print_log(f'Continuing from epoch {self.epoch}, iteration {self.iter}', self.logger)
        kept = kept_settings(wanted, settings_of(self.optim_wrapper, self.param_schedulers))
        if kept:
            self.logger.warning(f'a resumed run keeps the settings that it started with: '
                                f'{"; ".join(kept)}. To train with others, start a new run with '
                                '--load-from')


def _is_written_by_a_run(path):
    with contextlib.suppress(OSError, UnicodeDecodeError), open(path, encoding='utf-8') as file:
        return not os.path.islink(path) and file.readline() == _WRITTEN
    return False


def work_dir_of(config_path: str, work_dir: str | None) -> str:
    """Where a run writes: what was asked for, or ``work_dirs/<config name>``."""
    name = os.path.splitext(os.path.basename(config_path))[0]
    return work_dir or os.path.join('work_dirs', name)


def device_name() -> str:
    """What the model will run on, in words."""
    device = get_device()
    if device == 'cuda':
        return torch.cuda.get_device_name()
    return f'{device} ({plural(torch.get_num_threads(), "thread")})' if device == 'cpu' else device
