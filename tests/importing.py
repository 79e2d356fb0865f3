"""What ``import mmdet_lordre`` changes, written as JSON: run as a program, in a process of its own.

    python -m tests.importing FOLDER
"""
import importlib
import json
import os
import re
import sys
import time
import types
from collections import OrderedDict
from pathlib import Path

#: Whose modules are looked at.
LIBRARIES = ('torch', 'mmengine', 'mmcv', 'mmdet', 'numpy', 'cv2', 'yaml', 'pycocotools')
PACKAGE = Path(__file__).resolve().parents[1] / 'mmdet_lordre'


def of_libraries(name):
    return str(name).split('.')[0] in LIBRARIES


def identity(value):
    """What shows whether an attribute is another one, or a container holds other things."""
    if isinstance(value, dict):
        return id(value), [(repr(key), id(item)) for key, item in list(value.items())]
    if isinstance(value, (set, list, tuple, frozenset)):
        return id(value), [id(item) for item in list(value)]
    return id(value)


def attributes():
    """``{dotted name: identity}`` of the libraries' modules and of the classes in them."""
    found = {}
    for name, module in list(sys.modules.items()):
        if not of_libraries(name) or not isinstance(module, types.ModuleType):
            continue
        for key, value in list(vars(module).items()):
            found[f'{name}.{key}'] = identity(value)
            if isinstance(value, type) and of_libraries(getattr(value, '__module__', None)):
                found.update((f'{name}.{key}.{part}', identity(item))
                             for part, item in list(vars(value).items()) if part != '_abc_impl')
    return found


def import_what_the_package_imports():
    """All modules of the libraries that any file of the package names."""
    names = set()
    for path in PACKAGE.rglob('*.py'):
        if '.mim' not in path.parts:
            names |= set(re.findall(r'^(?:from|import) ([\w.]+)', path.read_text(), re.M))
    for name in sorted(filter(of_libraries, names)):
        importlib.import_module(name)


class Foreign:
    """Of another project, in a checkpoint of its own."""

    def __reduce__(self):
        return getattr, (OrderedDict, 'fromkeys')


def loads(path):
    """What another project's checkpoint holds, by mmengine."""
    from mmengine.runner.checkpoint import CheckpointLoader
    try:
        return str(CheckpointLoader.load_checkpoint(str(path), 'cpu', 'silent')['foreign'])
    except Exception as error:
        return type(error).__name__


def resumed(folder):
    """Iterations of a run by mmengine's own Runner, ended and gone on with."""
    import torch
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Toy(BaseModel):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, *args, **kwargs):
            return dict(loss=(self.weight - 1).square().sum())

    def run(steps, resume):
        runner = Runner(
            Toy(), str(folder), resume=resume, log_level='ERROR',
            train_dataloader=dict(dataset=list(range(4)), batch_size=1, num_workers=0,
                                  sampler=dict(type='DefaultSampler', shuffle=False)),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=steps, val_interval=100),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)), experiment_name=str(steps),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1,
                                               by_epoch=False)))
        runner.train()
        return runner

    run(2, False)
    going_on = run(3, True)
    return [going_on._has_loaded, going_on.iter, going_on.message_hub.get_scalar('train/loss')
            .data[0].size]


def main(folder):
    import torch
    import_what_the_package_imports()
    from mmengine.config.utils import MODULE2PACKAGE
    from mmengine.runner.checkpoint import CheckpointLoader
    schemes, packages = dict(CheckpointLoader._schemes), dict(MODULE2PACKAGE)
    allowed = torch.serialization.get_safe_globals()
    before, modules, start = attributes(), set(sys.modules), time.process_time()
    import mmdet_lordre
    seconds = time.process_time() - start
    after = attributes()
    new = [name for name in set(sys.modules) - modules if of_libraries(name)]
    report = dict(
        seconds=seconds, looked_at=len(before), new_modules=new,
        changed=sorted(name for name in before | after
                       if before.get(name) != after.get(name)
                       # a submodule that was imported is an attribute of its package
                       and name not in new and not name.startswith(tuple(f'{n}.' for n in new))),
        schemes=[name for name, loader in CheckpointLoader._schemes.items()
                 if schemes.get(name) is not loader],
        packages=[name for name in MODULE2PACKAGE if name not in packages],
        allowed=[str(item) for item in torch.serialization.get_safe_globals()
                 if item not in allowed],
        resumed=resumed(Path(folder) / 'run'))

    path = Path(folder) / 'foreign.pth'
    torch.save(dict(foreign=Foreign()), path)
    torch.serialization.add_safe_globals([getattr])
    report['allowed_by_its_program'] = loads(path)
    torch.serialization.clear_safe_globals()
    os.environ['TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'] = '1'
    report['loads'] = loads(path)
    before = attributes()
    mmdet_lordre.secure()
    once = attributes()
    mmdet_lordre.secure()
    report['secured'] = sorted(name for name in once if before.get(name) != once[name])
    twice = attributes()
    report['twice'] = sorted(name for name in once if once[name] != twice.get(name))
    report['loads_secured'] = loads(path)
    Path(folder, 'report.json').write_text(json.dumps(report))


if __name__ == '__main__':
    main(sys.argv[1])
