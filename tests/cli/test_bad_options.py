"""Misspelled keys and impossible values end in one line before anything is built or written."""
import errno
import importlib
import os
import re
import sys

import pytest
import torch
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook

import mmdet_lordre_command as command
from mmdet_lordre import __version__
from mmdet_lordre.cli.main import one_line_errors
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.config.checks import check_best
from mmdet_lordre.config.keys import check_option
from mmdet_lordre.config.own_data import use_own_data
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.config.values import value_at
from mmdet_lordre.errors import UserError
from mmdet_lordre.models import open_model
from mmdet_lordre_command import COMMANDS

from ..on_device import SAME_BITS
from .tiny import ROOT, write_config

#: --cfg-options that change nothing or cannot be meant, and what the line says.
BAD = [
    # keys: misspelled at the top, in the middle and at the end
    ('optim_wraper.optimizer.lr=1', 'did you mean optim_wrapper.optimizer.lr?'),
    ('maxiters=1', "has no 'maxiters', and nothing would read it"),
    ('max_epoch=1', 'did you mean train_cfg.max_epochs?'),
    ('lr=0.1', 'did you mean optim_wrapper.optimizer.lr?'),
    ('batch_size=2', 'did you mean train_dataloader.batch_size?'),
    ('modle.mask_head.num_classes=3', 'did you mean model.mask_head.num_classes?'),
    ('train_dataloder.batch_size=2', 'did you mean train_dataloader.batch_size?'),
    ('utterly.unknown=1', "has no 'utterly'"),
    ('train_pipeline.0.type=LoadImageFromFile', "'train_pipeline' is a variable of"),
    ('train_cfg.maxiters=1', "unexpected keyword argument 'maxiters'"),
    ('train_cfg.max_epoch=1', 'did you mean train_cfg.max_epochs?'),
    ('train_dataloader.batchsize=2', 'did you mean train_dataloader.batch_size?'),
    ('train_dataloader.utterly=1', "nothing reads 'utterly' in train_dataloader; it has"),
    ('optim_wrapper.optimzer.lr=1', 'did you mean optim_wrapper.optimizer?'),
    ('optim_wrapper.optimizer.weight_decy=1', 'did you mean optim_wrapper.optimizer.weight_decay'),
    ('model.mask_hed.num_classes=3', 'did you mean model.mask_head?'),
    ('model.mask_head.num_class=3', 'did you mean model.mask_head.num_classes?'),
    ('model.backbone.dept=18', 'did you mean model.backbone.depth?'),
    ('model.test_cfg.score_th=0.1', 'did you mean model.test_cfg.score_thr?'),
    ('default_hooks.checkpoint.intervall=1', 'did you mean default_hooks.checkpoint.interval?'),
    ('default_hooks.chekpoint.interval=1', 'did you mean default_hooks.checkpoint?'),
    # beside what the config has itself, or with nothing there
    ('randomness.sed=1', 'did you mean randomness.seed?' if SAME_BITS else "did you mean 'seed'?"),
    ('param_scheduler.3.end=5', 'param_scheduler is a list of 1'),
    ('param_scheduler.first.end=5', 'a number from 0 to 0 must follow'),
    ('param_scheduler.-9.end=5', "a number from 0 to 0 must follow, not '-9'"),
    ('param_scheduler.--1.end=5', "a number from 0 to 0 must follow, not '--1'"),
    ('train_cfg.max_epochs.value=5', 'train_cfg.max_epochs is 1, which has no keys'),
    # types
    ('model.mask_head.type=LordreHed', "there is no 'LordreHed': did you mean 'LordreHead'?"),
    ('model.backbone.type=ResNett', "did you mean 'ResNet'?"),
    ('model.backbone.type=mmdet.ResNett', "did you mean 'mmdet.ResNet'?"),
    ('model.mask_head.type=mmdet_lordre.LordreHed', "did you mean 'mmdet_lordre.LordreHead'?"),
    ('optim_wrapper.optimizer.type=AdmW', "there is no 'AdmW': did you mean 'AdamW'?"),
    ('model.type=5', 'model.type must be a name, not 5'),
    ('train_dataloader.sampler.type=DefaultSamplr', "did you mean 'DefaultSampler'?"),
    # values
    ('train_dataloader.batch_size=0', 'must be a whole number from 1, not 0'),
    ('train_dataloader.batch_size=-2', 'must be a whole number from 1, not -2'),
    ('train_dataloader.batch_size=2.5', 'must be a whole number from 1, not 2.5'),
    ('train_dataloader.batch_size=two', 'so it must be a number'),
    ('train_dataloader.num_workers=-1', 'must be a whole number from 0, not -1'),
    ('train_dataloader.persistent_workers=True', 'needs num_workers of 1 or more'),
    ('train_dataloader.sampler.shuffle=perhaps', 'must be True or False'),
    ('train_cfg.max_epochs=0', 'must be a whole number from 1, not 0'),
    ('train_cfg.max_epochs=1.5', 'must be a whole number from 1, not 1.5'),
    ('train_cfg.val_interval=0', 'must be a whole number from 1, not 0'),
    ('default_hooks.logger.interval=0', 'must be a whole number from 1, not 0'),
    ('default_hooks.checkpoint.interval=0', 'must be a whole number from 1, or -1'),
    ('optim_wrapper.optimizer.lr=-1', 'must be a number from 0, not -1'),
    ('optim_wrapper.optimizer.lr=nan', 'must be a number from 0, not nan'),
    ('optim_wrapper.optimizer.lr=fast', 'so it must be a number'),
    ('optim_wrapper.optimizer=SGD', 'must be a dictionary: set one of its keys'),
    ('optim_wrapper.accumulative_counts=0', 'must be a whole number from 1'),
    ('model.mask_head.num_classes=0', 'must be a whole number from 1, not 0'),
    ('model.mask_head.kernel_dim=0', 'must be a whole number from 1, not 0'),
    ('model.mask_head.loss_mask=None', 'must be a dictionary, not None'),
    ('model.mask_head.in_index=2', 'set model.mask_head.in_index'),
    ('model.data_preprocessor.std=[1,0,1]', 'must be numbers above 0'),
    ('model=Lordre', 'must be a dictionary'),
    ('model.backbone.out_indices=all', 'must be a list'),
    ('randomness.seed=-3', 'must be a whole number from 0'),
    ('log_level=LOUD', 'log_level must be the name of a level'),
    ('sync_bn=mmdet', "sync_bn must be 'torch' or 'mmcv', not 'mmdet'"),
    ('compile=maybe', 'compile must be True or False'),
    # what only the class that is built can know
    ('model.backbone.depth=19', 'depth'),
    ('model.mask_head.groups=5', 'groups=5 must divide channels=16'),
    ('model.mask_head.sync_normalizers=never', 'must be True or False'),
    ('model.mask_head.mask_upsample=None', 'must be a whole number, not None'),
    ('model.test_cfg.mask_thr=None', 'must be a number, not None'),
    ('model.test_cfg.score_thr=2', 'must be from 0 to 1, not 2'),
    ('model.mask_head.depth=-1', 'must be a whole number from 1, not -1'),
    ('model.data_preprocessor.pad_size_divisor=0', 'must be a whole number from 1, not 0'),
    ('param_scheduler.0.start_factor=0', 'must be a number above 0'),
    ('train_dataloader.dataset.dataset.filter_cfg.min_size=x', 'must be a number from 0'),
    ('train_dataloader.dataset.dataset.filter_cfg.min_sizes=3', 'filter_cfg.min_size?'),
    ('optim_wrapper.paramwise_cfg.bypass_duplicat=True', "did you mean 'bypass_duplicate'?"),
    ('optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mlt=1', "did you mean 'lr_mult'?"),
    ('model.test_cfg.mask_format=RLE', "must be 'bitmap' or 'rle', not 'RLE'"),
    ('model.test_cfg.max_per_img=many', 'many'),
    ('model.mask_head.num_queries=0', 'must be a whole number from 1, not 0'),
    ('optim_wrapper.optimizer.eps=-1', 'eps'),
    ('model.mask_head.normalization=no_such', 'no_such'),
    ('param_scheduler.0.begin=9', 'end'),
    ('default_hooks.checkpoint.save_best=nothing_like', 'nothing_like'),
    ('optim_wrapper.clip_grad.max_nrom=1', "did you mean 'max_norm'?"),
    ('model.mask_head.loss_dice.loss_weight=4',
     "set all of it: type='DiceLoss', eps=5e-05, loss_weight=4"),
    ('env_cfg.mp_cfg.mp_start_method=teleport', 'must be fork or spawn or forkserver'),
    ('model.data_preprocessor=None', 'images would reach the model as they are'),
    ('model=None', 'without a model nothing can be built'),
    # what is needed, taken away
    ('train_cfg=None', "set train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=12)"),
    ('optim_wrapper=None', "set optim_wrapper=dict(type='OptimWrapper', optimizer="),
    ('train_dataloader=None', 'is missing (or None) beside train_cfg and optim_wrapper'),
    ('test_cfg=None', "set test_cfg=dict(type='TestLoop'), or test_dataloader"),
    ('test_dataloader=None', 'or test_cfg, test_evaluator to None, too'),
    ('train_dataloader.dataset=None', 'must be a dictionary, or a list of them'),
    ('train_dataloader.dataset.dataset.pipeline=None', 'must be a list of transforms'),
    ('optim_wrapper.optimizer=None', "set optim_wrapper.optimizer=dict(type='AdamW'"),
    ('optim_wrapper.type=None', 'optim_wrapper has no type'),
    ('optim_wrapper.paramwise_cfg.norm_decay_mult=0', 'set optim_wrapper.optimizer.weight_decay'),
    ('optim_wrapper.clip_grad=3', 'such as dict(max_norm=1), or None'),
    ('model.backbone=None', 'must be a dictionary with a type'),
    ('model.backbone.type=None', 'model.backbone has no type'),
    ('model.neck=None', 'set model.mask_head.in_channels='),
    ('model.mask_head=None', 'model has no mask_head, which Lordre needs: set model.mask_head to'),
    ('model.neck.in_channels=[8,16]', '[8, 16, 32] channels: set model.neck.in_channels='),
    ('model.neck.in_channels=8', 'must be a list'),
    ('model.backbone.out_indices=[0,1,5]', 'ResNet demands max(out_indices) < num_stages'),
    ('param_scheduler=3', 'must be a list of schedulers'),
    ('custom_hooks=3', 'custom_hooks must be a list'),
    ('env_cfg.mp_cfg=None', 'must be a dictionary')]


@pytest.fixture(scope='module')
def config(data, tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('options') / 'tiny.py')


@pytest.mark.parametrize('option, said', BAD, ids=[option for option, _ in BAD])
def test_bad_options(data, tmp_path, error_line, option, said):
    # a name of its own: loggers are known by the name and the second
    config = write_config(tmp_path / (re.sub(r'\W', '_', option) + '.py'))
    own = ['--train-ann', f'{data}/train.json', '--work-dir', f'{tmp_path}/w', '--cfg-options',
           option]
    line = error_line(train, config, *own)
    assert said in line and (option.split('=')[0].split('.')[-1] in line or config in line), line


@pytest.mark.parametrize('key, value', [
    ('optim_wrapper.clip_grad.max_norm', 1), ('optim_wrapper.optimizer.weight_decay', 0.1),
    ('optim_wrapper.paramwise_cfg.bias_lr_mult', 2), ('train_cfg.val_begin', 1),
    ('model.test_cfg.max_per_img', 5), ('compile', False), ('randomness.seed', 1),
    ('default_hooks.checkpoint.max_keep_ckpts', 1), ('model.backbone.frozen_stages', 1),
    ('env_cfg.dist_cfg.timeout', 60), ('train_dataloader.drop_last', True),
    ('auto_scale_lr.enable', True)])
def test_new_keys_that_something_reads(config, key, value):
    assert value_at(load_config(config, {key: value}), key) == value


def test_keys_in_an_empty_list():
    with pytest.raises(UserError, match='custom_hooks is an empty list, in which nothing can be'):
        check_option(Config(dict(custom_hooks=[])), 'custom_hooks.0.type', 'c.py')


def test_keys_in_the_file(tmp_path, error_line):
    for extra, said in (
            ('optim_wraper = dict(type="OptimWrapper")', "did you mean 'optim_wrapper'?"),
            ('model["mask_head"]["num_classs"] = 3', "LordreHead has no such argument"),
            ('train_dataloader["batchsize"] = 3', "did you mean 'batch_size'?"),
            ('del train_cfg', 'train_cfg is missing (or None) beside train_dataloader'),
            ('val_evaluator = None', 'val_evaluator is missing (or None) beside val_dataloader'),
            ('val_evaluator = [3]', 'val_evaluator.0 must be a dictionary with a type, not 3'),
            ('param_scheduler = [None]', 'param_scheduler.0 must be a dictionary with a type'),
            ('custom_hooks = [3]', 'custom_hooks.0 must be a dictionary with a type, not 3'),
            ('default_hooks = dict(logger=3)', 'default_hooks.logger must be a dictionary'),
            ('default_scope = 3', 'default_scope must be the name of a scope'),
            ('del model["backbone"]', 'model has no backbone, which Lordre needs'),
            ('del model["mask_head"]["num_classes"]', 'set model.mask_head.num_classes'),
            ('model = dict()', 'model has no type: set model.type')):
        path = write_config(tmp_path / 'file.py', extra)
        line = error_line(train, path)
        assert said in line and path in line


def test_none_stands_for_the_default(config):
    cfg = load_config(config, dict.fromkeys(('default_scope', 'env_cfg', 'randomness')))
    assert cfg.default_scope == 'mmdet' and not {'env_cfg', 'randomness'} & set(cfg)


def test_validation_data_for_a_config_without_validation(config, data):
    cfg = load_config(config, dict.fromkeys(('val_dataloader', 'val_cfg', 'val_evaluator')))
    use_own_data(cfg, f'{data}/train.json', f'{data}/val.json')
    assert cfg.val_dataloader.dataset.ann_file == f'{data}/val.json'
    assert cfg.val_dataloader.dataset.pipeline == cfg.test_dataloader.dataset.pipeline
    assert cfg.val_cfg.type == 'ValLoop'
    assert cfg.val_evaluator[0].ann_file == f'{data}/val.json'
    cfg.val_dataloader = cfg.test_dataloader = None
    with pytest.raises(UserError, match='no val_dataloader to put your data in: set'):
        use_own_data(cfg, f'{data}/train.json', f'{data}/val.json')


def test_weights_that_a_backbone_begins_with(data, tmp_path, error_line):
    config = write_config(tmp_path / 'start.py', "model['backbone']['init_cfg'] = dict("
                          "type='Pretrained', checkpoint='nowhere.pth')\n")
    line = error_line(train, config, '--train-ann', f'{data}/train.json', '--work-dir',
                      tmp_path / 'w')
    assert 'model.backbone.init_cfg.checkpoint: no such file: nowhere.pth' in line


@pytest.mark.parametrize('best', ['coco/bbox_mAP', 'segm_mAP', "['auto','coco/AP']"])
def test_a_best_checkpoint_by_what_is_not_evaluated(data, tmp_path, error_line, best):
    line = error_line(train, write_config(tmp_path / 'best.py'), '--train-ann',
                      f'{data}/train.json', '--val-ann', f'{data}/val.json', '--work-dir',
                      tmp_path / 'w', '--cfg-options', f'default_hooks.checkpoint.save_best={best}')
    assert 'default_hooks.checkpoint.save_best is' in line
    assert 'choose from auto, coco/segm_mAP, coco/segm_mAP_50' in line


def test_a_hook_of_somebody_elses_may_add_figures():
    @HOOKS.register_module(force=True)
    class AddsAFigure(Hook):
        pass

    cfg = Config(dict(
        model={}, custom_hooks=[dict(type='EMAHook'), dict(type='AddsAFigure')],
        default_hooks=dict(checkpoint=dict(save_best='drift')),
        val_evaluator=dict(type='CocoMetric', metric='segm')))
    check_best(cfg)
    cfg.custom_hooks.pop()
    with pytest.raises(UserError, match="save_best is 'drift'"):
        check_best(cfg)


def test_an_option_that_another_one_replaces_is_said(config, data, tmp_path, capsys):
    train([config, '--train-ann', f'{data}/train.json', '--work-dir', f'{tmp_path}/w', '--seed',
           '4', '--cfg-options', 'model.mask_head.num_classes=5', 'randomness.seed=9',
           'train_cfg.max_epochs=1'])
    out = capsys.readouterr().out
    assert '--cfg-options model.mask_head.num_classes=5 has no effect: the other options make ' \
        'it 3' in out
    assert 'randomness.seed=9 has no effect: the other options make it 4' in out
    assert 'max_epochs=1 has no effect' not in out


def ends(capsys, function, *args):
    """(status, lines of stderr) of a command."""
    with pytest.raises(SystemExit) as ended:
        function(*args)
    return ended.value.code, capsys.readouterr().err.strip().splitlines()


@pytest.mark.parametrize('name', COMMANDS)
def test_command_lines_that_do_not_parse(capsys, name, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['lordre'])
    status, lines = ends(capsys, command.main, [name, '--no-such-option'])
    assert status == 2 and len(lines) == 1 and lines[0].startswith('error: '), lines
    assert f'lordre {name} --help' in lines[0]


@pytest.mark.parametrize('args, said', [
    (['c.py', '--sed', '3'], 'unrecognized arguments: --sed 3 (did you mean --seed?)'),
    (['c.py', '--skip-nonfinite', '-2'], "--skip-nonfinite: '-2' is not an integer of 0 or more"),
    (['c.py', '--seed', 'three'], "argument --seed: invalid int value: 'three'"),
    (['c.py', '--launcher', 'ssh'], "invalid choice: 'ssh'"),
    (['c.py', '--cfg-options', 'lr'], "'lr' is not KEY=VALUE"),
    (['c.py', '--cfg-options', '=3'], "'=3' is not KEY=VALUE"),
    (['c.py', '--cfg-options', 'a..b=3'], "'a..b=3' is not KEY=VALUE"),
    (['c.py', '--cfg-options', 'a=[1,(2]'], "'a=[1,(2]': Imbalanced brackets")])
def test_options_that_do_not_parse(capsys, args, said):
    status, lines = ends(capsys, command.main, ['train', *args])
    assert status == 2 and len(lines) == 1 and said in lines[0], lines


def test_a_demanded_option_that_is_misspelled(capsys):
    status, lines = ends(capsys, command.main, ['predict', 'a.png', '--modle=w', '--out', 'x'])
    assert status == 2 and len(lines) == 1, lines
    assert 'required: --model; there is no --modle=w (did you mean --model?)' in lines[0]


def test_arguments_in_another_order(tmp_path, capsys):
    (tmp_path / 'a.pth').write_bytes(b'x')
    (tmp_path / 'c.py').write_text('')
    status, lines = ends(capsys, command.main, ['test', f'{tmp_path}/a.pth', f'{tmp_path}/c.py'])
    assert status == 1 and len(lines) == 1, lines
    assert 'a.pth is not a config (.py, .json or .yml): give the config first' \
        in lines[0]


def test_a_model_that_is_not_in_the_zoo():
    with pytest.raises(UserError, match=r'_2x_coco \(did you mean solov2_r50_fpn_1x_coco\?\)'):
        open_model('solov2_r50_fpn_2x_coco')


@pytest.mark.parametrize('args, said', [
    (['benchmark', 'c.py', '--repeat', '0'], "--repeat: '0' is not an integer of 1 or more"),
    (['benchmark', 'c.py', '--warmup', '-1'], "--warmup: '-1' is not an integer of 0 or more"),
    (['benchmark', 'c.py', '--threads', '-1'], "--threads: '-1' is not an integer of 1 or more"),
    (['benchmark', 'c.py', '--shape', '0', '64'], "--shape: '0' is not an integer of 1 or more"),
    (['get-flops', 'c.py', '--shape', '64', 'x'], "--shape: 'x' is not an integer of 1 or more"),
    (['split', 'a.json', '--out', 'x', '--seed', '-1'],
     "--seed: '-1' is not an integer of 0 or more"),
    (['plan', 'a.json', '--seed', '-1'], "--seed: '-1' is not an integer of 0 or more"),
    (['browse', 'a.json', '--out', 'x', '--seed', '-1'],
     "--seed: '-1' is not an integer of 0 or more"),
    (['export-onnx', 'c.py', 'a.onnx', '--shape', '0', '64'],
     "--shape: '0' is not an integer of 1 or more"),
    (['check', 'a.json', '--examples', '-1'], "--examples: '-1' is not an integer of 0 or more"),
    (['demo', 'a.png', 'm.pth', '--score-thr', '2'], "--score-thr: '2' is not a score from 0 to 1"),
    (['test', 'c.py', '--score-thr', '3'], "--score-thr: '3' is not a score from 0 to 1"),
    (['report', 'run', '--score-thr', 'nan'], "--score-thr: 'nan' is not a score from 0 to 1")])
def test_numbers_that_cannot_be_meant(capsys, args, said):
    status, lines = ends(capsys, command.main, args)
    assert status == 2 and len(lines) == 1 and said in lines[0], lines


@pytest.mark.parametrize('args, said', [
    (['--simplify', 'nan'], '--simplify must be a number of pixels from 0, not nan'),
    (['--mm-per-pixel', 'inf'], '--mm-per-pixel must be more than 0, not inf'),
    (['--images', 'folder'], '--images folder is for COCO files (.json), and none is given')])
def test_predictions_that_cannot_be_meant(capsys, args, said):
    status, lines = ends(capsys, command.main, ['predict', 'a.jpg', '--model', 'm.pth', *args])
    assert status == 1 and len(lines) == 1 and said in lines[0], lines


def test_a_plan_that_is_not_there(tmp_path, error_line):
    line = error_line(train, '--auto', '--resume', '--work-dir', tmp_path / 'w')
    assert 'no finished plan to go on with' in line and f'{tmp_path}/w' in line


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
@pytest.mark.parametrize('name', ['demo', 'benchmark'])
@pytest.mark.parametrize('device, said', [
    ('cuda:0', 'has no cuda: choose from cpu'), ('gpu', "no kind of device 'gpu'"),
    ('cuda:x', "no kind of device 'cuda:x'"), ('meta', 'has no meta')])
def test_devices_that_are_not_there(capsys, name, device, said):
    status, lines = ends(capsys, command.main,
                         [name, 'a.jpg', 'c.py', *['m.pth'] * (name == 'demo'), '--device',
                          device])
    assert status == 2 and len(lines) == 1 and said in lines[0], lines


def test_the_version(capsys):
    command.main(['--version'])
    assert capsys.readouterr().out == f'lordre {__version__}\n'


@pytest.mark.parametrize('error, said', [
    (OSError(errno.ENOSPC, 'No space left on device', 'x.pth'), 'the disk is full: x.pth'),
    (OSError(errno.ENOSPC, 'No space left on device'), 'the disk is full; free'),
    (OSError(errno.EROFS, 'Read-only file system', 'x'), 'x: Read-only file system'),
    (PermissionError(errno.EACCES, 'Permission denied', 'x'), 'x: Permission denied'),
    (NotADirectoryError(errno.ENOTDIR, 'Not a directory', 'x/y'),
     'x/y: there is a file where a folder should be'),
    (FileExistsError(errno.EEXIST, 'File exists', 'x'),
     'x: there is a file where a folder should be'),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 3221225472 "
                  'bytes. Error code 12'), 'not enough memory for 3.0 GiB more: take a smaller'),
    (torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.'),
     'not enough memory: take a smaller batch')])
def test_errors_of_the_system(capsys, error, said):
    def fails():
        raise error
    status, lines = ends(capsys, one_line_errors(fails))
    assert status == 1 and len(lines) == 1 and said in lines[0]


def test_a_reader_that_has_seen_enough(monkeypatch, capsys):
    """As in ``lordre ... | head -1``: a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, 'w') as pipe:
        monkeypatch.setattr(sys, 'stdout', pipe)
        with pytest.raises(SystemExit) as ended:
            one_line_errors(lambda: print('line\n' * 100_000))()
        pipe.flush()  # as Python does at the end: what is left goes nowhere
        monkeypatch.undo()
    assert ended.value.code == 141 and capsys.readouterr().err == ''


def test_help_names_every_command(capsys):
    command.main([])
    out = capsys.readouterr().out
    assert all(f'  {name} ' in out for name in COMMANDS) and '--version' in out


def test_the_program_ends_well_whatever_a_command_returns(data, monkeypatch):
    """An entry point's value is given to sys.exit, for which anything but None is a failure."""
    with open(os.path.join(ROOT, 'pyproject.toml')) as file:
        module, function = re.search(r'^lordre = "(.+):(.+)"$', file.read(), re.MULTILINE).groups()
    program = getattr(importlib.import_module(module), function)
    monkeypatch.setattr(sys, 'argv', ['lordre', 'check', f'{data}/train.json'])
    assert command.main(['check', f'{data}/train.json']) is not None
    with pytest.raises(SystemExit) as ended:
        sys.exit(program())
    assert ended.value.code is None
