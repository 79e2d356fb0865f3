"""Averaged weights: what is validated, kept, gone on with and predicted with."""
import pytest
import torch

from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.cli.train import main
from mmdet_lordre.models import build_model
from mmdet_lordre.planning.fit import fit
from mmdet_lordre.planning.objects import read_both
from mmdet_lordre.planning.sample import Looks
from mmdet_lordre.planning.writing import config_text

from ..on_device import SAME_BITS
from .data import coco, square, write

PICTURE = [(square(4, 6, 20), 0), (square(36, 30, 24, 16), 0)]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A planned training of four steps: its config, work folder and runner."""
    folder = tmp_path_factory.mktemp('averages')
    data = write(folder, coco([PICTURE] * 4, size=(64, 64)))
    text = config_text(fit(read_both(data)[0], Looks(), 'polarmask', 'nano', steps=4, ema=0.1,
                           gamma=1, batch_size=2), (data, str(folder)), (data, str(folder)))
    config = folder / 'mine.py'
    config.write_text(text.replace('checkpoint=dict(interval=1',
                                   'checkpoint=dict(interval=2, max_keep_ckpts=2') + SAME_BITS)
    runner = main([str(config), '--work-dir', str(folder / 'work'), '--seed', '0', '--no-report'])
    return config, folder / 'work', runner


def test_the_average_is_what_is_kept_and_predicted_with(trained):
    _, work, runner = trained
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    average = hook.ema_model.module.state_dict()
    best, = work.glob('best_*.pth')
    for path in (best, work / 'iter_4.pth'):
        found = read_checkpoint(str(path))
        for name, value in average.items():
            assert torch.equal(found['state_dict'][name], value.cpu()), name
        # beside it lies what the training goes on with
        assert any(not torch.equal(value.cpu(), found['ema_state_dict'][f'module.{name}'])
                   for name, value in average.items())
    for name, value in build_model(work, device='cpu').state_dict().items():
        assert torch.equal(value, average[name].cpu()), name


def test_a_training_that_is_gone_on_with_gives_the_same(trained, tmp_path):
    config, work, _ = trained
    main([str(config), '--work-dir', str(tmp_path / 'work'), '--seed', '0', '--no-report',
          '--resume', str(work / 'iter_2.pth')])
    before, after = (read_checkpoint(str(folder / 'iter_4.pth')) for folder in
                     (work, tmp_path / 'work'))
    for key in ('state_dict', 'ema_state_dict'):
        assert before[key].keys() == after[key].keys()
        assert all(torch.equal(value, after[key][name]) for name, value in before[key].items())
