"""A neck that does not take what the backbone gives is named, with what to set."""
import pytest
import torch
from torch import nn

from mmdet_lordre.analysis.complexity import complexity
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.errors import UserError
from mmdet_lordre.training.parts import misfit

from ..deployment.models import build, solov2
from ..reliability.families import write_family


def test_only_what_does_not_fit():
    config = solov2()
    model = build(config).train()
    model.backbone.norm1.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    state = {name: value.clone() for name, value in model.state_dict().items()}
    assert misfit(model) is None
    config['neck'].update(in_channels=[8, 16])
    model.neck = build(config).neck
    assert 'have [8, 16, 32] channels: set model.neck.in_channels=[8, 16, 32] in place of ' \
        '[8, 16], or model.backbone.out_indices' in misfit(model)
    assert misfit(nn.Linear(1, 1)) is None
    model = build(solov2()).train()
    model.backbone.norm1.eval()
    assert misfit(model) is None
    assert modes == {name: module.training for name, module in model.named_modules()}
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=0)


def test_a_neck_that_says_nothing_of_channels():
    class Fails(nn.Module):
        def forward(self, maps):
            raise RuntimeError('not these')
    model = build(solov2())
    model.neck = Fails()
    assert misfit(model).endswith('have [8, 16, 32] channels: RuntimeError: not these')
    model.backbone = Fails()  # what is at fault there no neck can help
    assert misfit(model) is None


def test_before_anything_is_learned(data, tmp_path, error_line):
    path = write_family(tmp_path / 'small.py', 'solov2', model__neck__in_channels=[8, 16, 64])
    line = error_line(train, path, '--train-ann', f'{data}/train.json', '--work-dir',
                      tmp_path / 'w')
    assert f'config {path}: model.neck does not take the maps of model.backbone' in line
    assert 'set model.neck.in_channels=[8, 16, 32] in place of [8, 16, 64]' in line
    cfg = load_config(path)
    with pytest.raises(UserError, match=r'set model\.neck\.in_channels=\[8, 16, 32\]'):
        complexity(cfg, (64, 64))
    cfg.model.neck.num_outs = 1
    with pytest.raises(UserError, match=r'model\.neck cannot be built: FPN demands num_outs >='):
        complexity(cfg, (64, 64))
