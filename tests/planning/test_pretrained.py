"""Weights that a backbone begins with."""
from dataclasses import replace

import pytest
import torch
from mmdet.models.backbones import ResNet
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from mmdet_lordre.cli.main import one_line_errors
from mmdet_lordre.cli.plan import main
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.errors import UserError
from mmdet_lordre.planning import rules
from mmdet_lordre.planning.cost import build
from mmdet_lordre.planning.fit import fit
from mmdet_lordre.planning.memory import free_on
from mmdet_lordre.planning.plan import config_of, make_plan
from mmdet_lordre.planning.pretrained import find_pretrained, read_pretrained
from mmdet_lordre.planning.sample import Looks
from mmdet_lordre.planning.writing import config_text

from .data import coco, objects, square, write
from .test_rules import grid_of

PICTURE = [(square(4, 6, 20), 0), (square(36, 30, 24, 16), 0)]


def saved(path, prefix='', **settings):
    """The file of a ResNet with random weights, and its state."""
    state = {prefix + name: value for name, value in ResNet(**settings).state_dict().items()}
    torch.save(state, path)
    return state


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torch's cache, empty."""
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    (tmp_path / 'hub' / 'checkpoints').mkdir(parents=True)
    return tmp_path / 'hub' / 'checkpoints'


def test_too_few_stages_for_a_family(tmp_path):
    saved(tmp_path / 'two.pth', depth=18, num_stages=2, strides=(1, 2), dilations=(1, 1),
          out_indices=(0, 1), base_channels=16, stem_channels=16)
    found = read_pretrained(tmp_path / 'two.pth')
    assert fit(objects([PICTURE]), Looks(), 'polarmask', weights=found).stages == 2
    with pytest.raises(UserError, match=r'two\.pth holds 2 stages of a ResNet, and SOLOv2 needs'):
        fit(objects([PICTURE]), Looks(), 'solov2', weights=found)


@pytest.mark.parametrize('settings', [
    dict(depth=18), dict(depth=50, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1),
                         out_indices=(0, 1, 2)),
    dict(depth=18, base_channels=16, stem_channels=16, deep_stem=True)])
def test_what_a_file_holds(settings, tmp_path):
    saved(tmp_path / 'a.pth', **settings)
    found = read_pretrained(tmp_path / 'a.pth')
    assert (found.depth, found.base) == (settings['depth'], settings.get('base_channels', 64))
    assert found.deep_stem == settings.get('deep_stem', False)
    assert found.stages == settings.get('num_stages', 4) and found.prefix == ''


@pytest.mark.parametrize('state', [{}, {'fc.weight': torch.ones(2)}, {
    'layer1.0.conv1.weight': torch.ones(8, 8, 3, 3)}])
def test_what_holds_none(state, tmp_path):
    torch.save(state, tmp_path / 'a.pth')
    with pytest.raises(UserError):
        read_pretrained(tmp_path / 'a.pth')


def test_a_planned_model_begins_with_them(tmp_path, capsys, cache):
    """Those of a detector that was trained on other data, which has more stages than are used."""
    data = write(tmp_path, coco([PICTURE] * 3, size=(64, 64)))
    state = saved(tmp_path / 'whole.pth', 'backbone.', depth=18, base_channels=16,
                  stem_channels=16, deep_stem=True)
    out = tmp_path / 'mine.py'
    main([data, '--no-cost', '--family', 'polarmask', '--pretrained', str(tmp_path / 'whole.pth'),
          '--out', str(out)])
    assert f'the weights of {tmp_path}/whole.pth' in capsys.readouterr().out
    cfg = load_config(str(out))
    built = build(cfg, 'cpu').backbone
    assert built.num_stages == 3 and built.norm_eval
    for name, value in built.state_dict().items():
        assert torch.equal(value, state[f'backbone.{name}']), name
    # what it knows changes slowly
    assert cfg.optim_wrapper.optimizer.type == 'AdamW'
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult == 0.1
    assert f"Backbone: the weights of {tmp_path}" in out.read_text()
    with pytest.raises(SystemExit):
        one_line_errors(main)([data, '--no-cost', '--pretrained', str(tmp_path / 'none.pth')])
    assert 'none.pth' in capsys.readouterr().err


def test_the_cache_is_looked_into(cache, tmp_path, capsys):
    assert 'no published ResNet-18 has 32 channels' in find_pretrained(18, 32)[1]
    path, why = find_pretrained(18, 64)
    assert path is None and 'from scratch' in why and str(cache) in why
    saved(cache / 'resnet18-f37072fd.pth', depth=18)
    path, why = find_pretrained(18, 64)
    assert path == str(cache / 'resnet18-f37072fd.pth') and path in why
    data = write(tmp_path, coco([PICTURE] * 3, size=(64, 64)))
    for options, said in (([], 'ImageNet weights of'), (['--pretrained', 'none'], 'as asked for')):
        plan = main([data, '--no-cost', '--family', 'solov2', '--size', 'medium', *options])
        assert said in capsys.readouterr().out
        weights = plan.fits['solov2'].weights
        assert (weights is None) == bool(options)


class TestRulesOfSize:
    @pytest.mark.parametrize('device, minutes, memory, images, size', [
        ('cpu', 0.5, None, 50, 'nano'), ('cpu', 2, None, 50, 'small'),
        ('cpu', 600, None, 9, 'medium'), ('cpu', 30, 0.2, 50, 'nano'),
        ('cuda', 5, None, 50, 'small'), ('cuda', 120, None, 50, 'medium'),
        ('cuda:0', 300, 40., 5000, 'large'), ('cuda', 300, 8., 5000, 'medium')])
    def test_size(self, device, minutes, memory, images, size):
        assert rules.size_of(device, minutes, memory, images, '')[0] == size

    def test_what_decides_it_is_said(self):
        assert rules.size_of('cpu', 30, 0.2, 50, '--memory 0.2') == ('nano', 'for --memory 0.2')
        assert 'nano is trained in seconds' in rules.size_of('cpu', 0.5, None, 50, '')[1]

    def test_averages(self):
        assert rules.averaging(500)[0] is None
        assert rules.averaging(5000) == (0.01, 250)
        assert [rules.validations(n) for n in (100, 4000, 30_000)] == [1, 5, 10]

    def test_a_long_training_stops_where_nothing_is_won(self):
        data = objects([grid_of(5, 16)])
        hooks = {steps: [hook.type for hook in config_of(config_text(
            fit(data, Looks(), 'lordre').with_steps(steps), ('a.json', 'a'), ('b.json', 'b'))
        ).custom_hooks] for steps in (500, 5000, 30_000)}
        assert hooks[500] == ['ChannelsLastHook']
        assert hooks[5000] == ['ChannelsLastHook', 'EMAHook']
        assert hooks[30_000] == ['ChannelsLastHook', 'EMAHook', 'KeptEarlyStoppingHook']


def test_schedules_of_few_steps_rise_and_fall():
    one = fit(objects([grid_of(5, 16)]), Looks(), 'lordre')
    for steps in (*range(1, 26), 39, 40, 400):
        cfg = config_of(config_text(one.with_steps(steps), ('a.json', 'a'), ('b.json', 'b')))
        assert cfg.train_cfg.max_iters == steps
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=one.lr)
        schedulers = [PARAM_SCHEDULERS.build(dict(part, optimizer=optimizer))
                      for part in cfg.param_scheduler]
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
        assert max(rates) == pytest.approx(one.lr)
        assert rates[0] == pytest.approx(one.lr / (1 if steps < 40 else 100))
        assert rates[-1] < (1.01 if steps == 1 else 0.6 if steps < 5 else 0.15) * one.lr


def test_where_memory_is_short_the_model_is_smaller(tmp_path, monkeypatch, cache):
    from mmdet_lordre.planning.cost import Cost
    from mmdet_lordre.planning.measuring import Measuring
    seen = []

    def measured(self, one, precisions):
        seen.append((one.size, one.batch_size))
        return Cost(0.1, 0, one.batch_size * dict(nano=200., small=900.)[one.size], False)

    monkeypatch.setattr(Measuring, 'steps', measured)
    monkeypatch.setattr(Measuring, 'whole', lambda self, one, cost: cost)
    data = write(tmp_path, coco([PICTURE] * 5, size=(64, 64)))
    found = main([data, '--family', 'lordre', '--memory', '0.6', '--minutes', '5'])
    assert found.fits['lordre'].size == 'nano' and found.fits['lordre'].batch_size <= 3
    assert ('small', 1) in seen and found.costs['lordre'].memory <= 614.4
    assert 'smaller, for --memory 0.6' in found.configs['lordre']
    assert isinstance(config_of(found.configs['lordre']), Config)


def test_what_is_free_on_a_gpu_is_the_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (10 * 2**30, 24 * 2**30))
    assert free_on('cuda:1') == pytest.approx(8.5) and free_on('cpu') is None
    many = replace(objects([grid_of(5, 16)] * 600), folder=str(tmp_path))
    plan = make_plan(many, device='cuda', minutes=300, families=['lordre'], measured=False,
                     ceilings=False)
    assert plan.fits['lordre'].size == 'medium'  # large takes 12 GiB
