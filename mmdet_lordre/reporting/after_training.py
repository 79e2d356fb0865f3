"""The report at the end of a training, which never makes the training fail."""
import importlib.metadata
import os
import platform
import shlex

from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ..config.classes import class_names_of
from ..config.reading import dataset_files, evaluators, max_dets_of, split_datasets
from ..text import printable
from ..training.interrupt import report_can_wait
from ..training.runner import device_name
from .report import write_report
from .sources import FOLDER, RESULTS, find_source, write_origin


def results_prefix(work_dir: str) -> str:
    """What the names of the files with a run's last predictions begin with."""
    return os.path.join(work_dir, FOLDER, RESULTS.removesuffix('.segm.json'))


def report_on_training(runner: Runner, cfg: Config) -> str | None:
    """Write the report of a run that has ended; what goes wrong is one line, and so is a signal.

    Args:
        runner: That has trained.
        cfg: Of the run.

    Returns:
        Path of the page, or None.

    Raises:
        Interrupted: A signal asked for it; the training is saved.
    """
    with report_can_wait(cfg.work_dir):
        return _report(runner, cfg)


def _report(runner, cfg):
    folder = os.path.join(cfg.work_dir, FOLDER)
    try:
        ann, images = _validation_files(cfg)
        write_origin(folder, ann=ann, images=images, config=cfg.filename,
                     checkpoint=_last_checkpoint(cfg.work_dir),
                     max_dets=max_dets_of(evaluators(cfg, 'val')),
                     classes=list(class_names_of(cfg) or ()), **_facts(runner, cfg))
        path = write_report(folder, [find_source(cfg.work_dir)])
    except Exception as error:  # whatever it is: hours of training have just been saved
        what = printable(' '.join(str(error).split()), 300) or type(error).__name__
        runner.logger.warning(f'the report could not be written: {what}')
        return None
    best = _better_checkpoint(runner)
    runner.logger.info(f'Report: {path}' + (
        f', of the last validation. That of {best} was better; for a report of it: '
        f'{_commands(cfg)}' if best else ''))
    return path


def _commands(cfg):
    """What makes a report of the best checkpoint, which is the model of a work folder."""
    ann, images = dataset_files(next(iter(split_datasets(cfg, 'test')), {}))
    options = [f'{option} {shlex.quote(printable(os.path.abspath(path)))}'
               for option, path in (('--ann', ann), ('--images', images)) if path]
    if most := max_dets_of(evaluators(cfg, 'val')):
        options.append(f'--max-dets {most[-1]}')
    return ' '.join([f'lordre test {shlex.quote(printable(cfg.work_dir))} --json-out best && '
                     'lordre report best.segm.json', *options])


def _better_checkpoint(runner):
    """Name of the best checkpoint, if an earlier validation than the last one was better."""
    hub = runner.message_hub
    name = os.path.basename(hub.runtime_info.get('best_ckpt') or '')
    last = f'_iter_{runner.iter}.pth', f'_epoch_{runner.epoch}.pth'
    if not name or name.endswith(last):
        return None
    score = hub.runtime_info.get('best_score')
    # of equal ones the first is kept: 0 again and again, say
    same = any(values.current() == score for key, values in hub.log_scalars.items()
               if name.startswith(f'best_{key.removeprefix("val/").replace("/", "_")}_'))
    return None if same else name


def _validation_files(cfg):
    """(annotations, image folder) of the validation data; None for what is not said."""
    dataset = next(iter(split_datasets(cfg, 'val')), {})
    ann, images = dataset_files(dataset)
    said = next((metric['ann_file'] for metric in evaluators(cfg, 'val')
                 if metric.get('ann_file')), None)
    return (os.path.abspath(said or ann) if said or ann else None,
            os.path.abspath(images) if images else None)


def _facts(runner, cfg):
    """What was trained, on what and by what."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    parameters = sum(p.numel() for p in model.parameters())
    dataset = next(iter(split_datasets(cfg, 'train')), {})
    versions = [f'{name} {importlib.metadata.version(name)}' for name in (
        'mmdet_lordre', 'torch', 'mmcv', 'mmdet', 'mmengine', 'onedl-mmdetection', 'numpy')
        if _installed(name)]
    processes = f', {runner.world_size} processes' if runner.world_size > 1 else ''
    return dict(model=f'{type(model).__name__} ({parameters / 1e6:.1f} M parameters)',
                trained_on=dataset_files(dataset)[0] or None,
                device=f'{device_name()}{processes}', seed=str(runner.seed),
                versions=', '.join([f'Python {platform.python_version()}', *versions]))


def _installed(name):
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _last_checkpoint(work_dir):
    try:
        with open(os.path.join(work_dir, 'last_checkpoint')) as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return None
