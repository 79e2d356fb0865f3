"""tools/train.py: own data, resuming, fine-tuning, mixed precision."""
import pytest
import torch
from mmengine.config import Config

from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.cli import train as module
from mmdet_lordre.cli.test import main as run_test
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.models import build_model
from mmdet_lordre.training import precision

from ..on_device import DEVICE
from .tiny import IDS, NAMES, make_coco, read_json, write_config


def own(data):
    return ['--train-ann', f'{data}/train.json', '--val-ann', f'{data}/val.json']


def weights(path):
    return read_checkpoint(path)['state_dict']


def test_own_data_by_the_script(run_script, data, tmp_path):
    config = write_config(tmp_path / 'script.py')
    done = run_script('train.py', config, *own(data), '--work-dir', tmp_path / 'work',
                      '--seed', 5)
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr
    checkpoint = read_checkpoint(tmp_path / 'work' / 'epoch_1.pth')
    assert checkpoint['meta']['dataset_meta']['classes'] == NAMES
    assert checkpoint['state_dict']['mask_head.inst_branch.cls_score.bias'].shape == (len(NAMES),)
    assert checkpoint['meta']['seed'] == 5
    # the console: an iteration is one line, and the page-long messages stay in the log file
    lines = done.stdout.splitlines()
    iterations = [line for line in lines if 'Epoch(train)' in line]
    assert len(iterations) == 3 and all('loss: ' in line for line in iterations)
    assert len(lines) < 16 and max(map(len, lines)) < 250
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    for long in ('Config:', 'System environment:', 'Initialization information'):
        assert long in log and long not in done.stdout
    # the config written beside the checkpoint holds the data: it can be tested as it is
    written = Config.fromfile(tmp_path / 'work' / 'script.py')
    assert written.model.mask_head.num_classes == len(NAMES)
    assert written.test_evaluator[0].ann_file == f'{data}/val.json'
    assert written.train_dataloader.dataset.dataset.data_prefix.img == f'{data}/train'


def test_resuming_reaches_the_same_weights(data, tmp_path):
    two = '--cfg-options', 'train_cfg.max_epochs=2'
    whole = write_config(tmp_path / 'whole.py')
    train([whole, *own(data), '--work-dir', f'{tmp_path}/a', '--seed', '1', *two])
    first = write_config(tmp_path / 'first.py')
    train([first, *own(data), '--work-dir', f'{tmp_path}/b', '--seed', '1'])
    second = write_config(tmp_path / 'second.py')
    runner = train([second, *own(data), '--work-dir', f'{tmp_path}/b', '--seed', '1',
                    '--resume', *two])
    assert (runner.epoch, runner.iter) == (2, 6)
    expected, resumed = (weights(tmp_path / run / 'epoch_2.pth') for run in 'ab')
    assert expected.keys() == resumed.keys()
    for name, value in expected.items():
        assert torch.equal(value, resumed[name]), name
    # the log goes on where it was: three iterations of the first epoch, three of the second
    losses = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(losses) == 6


def test_resume_auto_without_a_checkpoint_starts_anew(data, tmp_path, capsys):
    config = write_config(tmp_path / 'anew.py')
    runner = train([config, *own(data), '--work-dir', f'{tmp_path}/new', '--resume'])
    assert 'no checkpoint in' in capsys.readouterr().out
    assert runner.epoch == 1


def test_what_is_random_can_be_set_without_a_seed(data, tmp_path):
    config = write_config(tmp_path / 'exact.py', 'randomness = dict(deterministic=True)\n')
    try:
        assert train([config, *own(data), '--work-dir', f'{tmp_path}/work', '--no-report']).iter
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_finetuning_with_other_classes(trained, tmp_path, capsys):
    ann = make_coco(tmp_path, count=4, names=('only',), ids=(9,))
    config = write_config(tmp_path / 'finetune.py')
    runner = train([config, '--train-ann', ann, '--load-from', trained[1],
                    '--work-dir', f'{tmp_path}/work', '--cfg-options',
                    'optim_wrapper.optimizer.lr=0', 'optim_wrapper.optimizer.weight_decay=0'])
    out = capsys.readouterr().out
    assert f'warning: classes differ from those of {trained[1]}: 3 classes before, 1 now' in out
    table = out[out.index('Loaded '):].splitlines()
    assert table[1].split() == ['left', 'out', 'checkpoint', 'model']
    assert table[2].split() == ['mask_head.inst_branch.cls_score.weight', '3x32', '1x32',
                                'other', 'shape']
    assert 'cls_score.bias' in table[3] and 'left out' not in ''.join(table[4:])
    # at a learning rate of zero what was loaded is still there
    before = weights(trained[1])
    after = runner.model.state_dict()
    for name in ('backbone.conv1.weight', 'mask_head.inst_branch.mask_kernel.weight'):
        assert torch.equal(before[name], after[name].cpu())
    assert runner._val_loop is None  # no --val-ann
    assert 'nothing is evaluated' in out
    # what was written serves the other tools
    model = build_model(f'{tmp_path}/work/finetune.py', f'{tmp_path}/work/epoch_1.pth', 'cpu')
    assert model.dataset_meta['classes'] == ('only', )
    assert model.cfg.test_dataloader.dataset.ann_file == str(ann)


@pytest.mark.skipif(DEVICE != 'cpu', reason='on a GPU it is float16')
def test_amp_on_a_cpu_that_emulates_bfloat16_is_float32(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(precision, 'bfloat16_speed', lambda: 0.2)
    config = write_config(tmp_path / 'amp.py')
    begun = []
    monkeypatch.setattr(module, '_train', lambda cfg, args: begun.append(cfg))
    train([config, *own(data), '--work-dir', f'{tmp_path}/amp', '--amp'])
    assert begun[0].optim_wrapper.type == 'OptimWrapper'
    assert ('warning: --amp: this CPU has no instructions for bfloat16, which takes 5.0 times as '
            'long as float32: training in float32') in capsys.readouterr().out


@pytest.mark.skipif(DEVICE != 'cpu', reason='on a GPU it is float16')
def test_amp_on_the_cpu_is_bfloat16(data, tmp_path, monkeypatch):
    monkeypatch.setattr(precision, 'bfloat16_speed', lambda: 2.)
    config = write_config(tmp_path / 'amp.py')
    runner = train([config, *own(data), '--work-dir', f'{tmp_path}/amp', '--amp'])
    assert type(runner.optim_wrapper).__name__ == 'BFloat16OptimWrapper'
    loss = runner.message_hub.get_scalar('train/loss').data[0]
    assert len(loss) == 3 and all(0 < value < 100 for value in loss)
    dtypes = set()
    layer = runner.model.backbone.layer1[0].conv1
    layer.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    with runner.optim_wrapper.optim_context(runner.model):
        runner.model.backbone(torch.rand(1, 3, 32, 32))
    assert dtypes == {torch.bfloat16}


def test_auto_scale_lr_needs_a_base(data, tmp_path, error_line):
    config = write_config(tmp_path / 'scale.py')
    assert 'base_batch_size' in error_line(train, config, *own(data), '--auto-scale-lr')


def test_category_ids_stay_theirs(trained, data, tmp_path):
    """Results are written with the ids of the annotation file, not with labels."""
    run_test([*trained, '--ann', f'{data}/val.json', '--json-out', f'{tmp_path}/r',
          '--work-dir', f'{tmp_path}/w'])
    found = {entry['category_id'] for entry in read_json(tmp_path / 'r.segm.json')}
    assert found and found <= set(IDS)


def test_epochs_that_never_end_are_refused(error_line, data, tmp_path):
    config = write_config(tmp_path / 'endless.py')
    line = error_line(train, config, *own(data), '--work-dir', tmp_path / 'work',
                      '--cfg-options', 'train_dataloader.sampler.type=InfiniteSampler')
    assert 'error: train_cfg counts epochs, but train_dataloader.sampler is an' in line
    assert "sampler=dict(type='DefaultSampler', shuffle=True)" in line


@pytest.mark.parametrize('options', [
    ['--train-images', 'folder'], ['--val-images', 'folder'], ['--keep-empty-classes']])
def test_options_of_data_that_are_not_given(error_line, tmp_path, options):
    config = write_config(tmp_path / 'tiny.py')
    line = error_line(train, config, *options, '--work-dir', tmp_path / 'work')
    assert f'error: {options[0]} is for your own data: give --train-ann ANN or --data' in line
    assert not (tmp_path / 'work').exists()
