"""What a resumed run keeps of its beginning, whatever the config says now."""
import inspect
from typing import Any

from mmengine.optim import OptimWrapper

from ..errors import UserError
from ..text import plural

#: Arguments of optimizers and schedulers that are no settings.
_NO_SETTINGS = {'self', 'args', 'kwargs', 'params', 'optimizer', 'last_step', 'verbose'}

#: Under it in the ``meta`` of a checkpoint: the class of the optimizer.
OPTIMIZER = 'optimizer'


def settings_of(optim_wrapper: Any, schedulers: Any) -> dict[str, Any]:
    """Settings by name, such as ``'optimizer lr'``, of what was built.

    Args:
        optim_wrapper: Several optimizers, each of its own kind, are left out.
        schedulers: A list of mmengine's, or None.
    """
    found = {}
    if isinstance(optim_wrapper, OptimWrapper):
        for number, group in enumerate(optim_wrapper.optimizer.param_groups):
            place = f' of group {number}' if number else ''
            for key, value in group.items():
                if key == 'initial_lr' or (key == 'lr' and 'initial_lr' not in group):
                    found[f'optimizer lr{place}'] = value
                elif key not in ('params', 'lr'):
                    found[f'optimizer {key}{place}'] = value
    for number, scheduler in enumerate(schedulers if isinstance(schedulers, list) else ()):
        for name in sorted(_names_of(scheduler)):
            found[f'{type(scheduler).__name__} {number} {name}'] = vars(scheduler)[name]
    return found


def _names_of(scheduler):
    """Its settings: arguments that it keeps."""
    arguments = {name for cls in type(scheduler).__mro__ if '__init__' in vars(cls)
                 for name in inspect.signature(cls.__init__).parameters}
    return (arguments - _NO_SETTINGS) & set(vars(scheduler))


def optimizer_name(optim_wrapper: Any) -> str:
    """Name of the optimizer's class; '' where there are several."""
    return type(optim_wrapper.optimizer).__name__ if isinstance(optim_wrapper, OptimWrapper) else ''


def check_made_alike(checkpoint: dict, path: str, optim_wrapper: Any, schedulers: Any) -> None:
    """Refuse the state of another optimizer, or of other schedulers, by their names.

    Args:
        checkpoint: To go on from.
        path: Its file, for the message.
        optim_wrapper: The config's.
        schedulers: The config's, a list of mmengine's, or None.

    Raises:
        UserError: They are others.
    """
    before, now = checkpoint['meta'].get(OPTIMIZER), optimizer_name(optim_wrapper)
    what = ''
    if before and now and before != now:
        what = f'it was trained with the optimizer {before}, and the config has {now}'
    saved = checkpoint.get('param_schedulers')
    if not what and isinstance(saved, list) and isinstance(schedulers, list):
        if len(saved) != len(schedulers):
            what = (f'it was trained with {plural(len(saved), "scheduler")}, and the config has '
                    f'{len(schedulers)}')
        for number, (state, scheduler) in enumerate(zip(saved, schedulers)):
            if not what and _names_of(scheduler) - set(state):
                what = f'param_scheduler {number}, {type(scheduler).__name__}, was different'
    if what:
        raise UserError(f'{path} cannot be resumed with this config: {what}. Use the settings that '
                        'the run started with, or start a new run with --load-from')


def check_optimizer(optim_wrapper: Any) -> None:
    """See whether a state that was loaded is that of such an optimizer.

    Raises:
        ValueError: It lacks settings that this one has.
    """
    if isinstance(optim_wrapper, OptimWrapper):
        optimizer = optim_wrapper.optimizer
        for group in optimizer.param_groups:
            # torch adds this one to the defaults of any optimizer that is loaded
            lacking = sorted(set(optimizer.defaults) - set(group) - {'differentiable'})
            if lacking:
                raise ValueError(f'{type(optimizer).__name__} needs {", ".join(lacking)}')


def kept_settings(config: dict[str, Any], resumed: dict[str, Any]) -> list[str]:
    """Settings of a resumed run that the config would have otherwise; groups say it once.

    Args:
        config: What :func:`settings_of` gives before the checkpoint's state is there.
        resumed: The same afterwards.
    """
    lines, said = [], set()
    for name, value in resumed.items():
        key = name.split(' of group ')[0]
        if name in config and not _same(config[name], value) and key not in said:
            said.add(key)
            lines.append(f'{name} {_short(value)} (the config has {_short(config[name])})')
    return lines


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return list(a) == list(b)
    return a == b


def _short(value: Any) -> str:
    if isinstance(value, dict):  # milestones are counted
        value = sorted(value)
    return f'{value:g}' if isinstance(value, float) else str(value)
