"""The order in memory and the weight gradients with which convolutions are faster."""
from dataclasses import replace

import numpy as np
import pytest

from mmdet_lordre.planning import plan as planning
from mmdet_lordre.planning.cost import Cost
from mmdet_lordre.planning.fit import fit
from mmdet_lordre.planning.layout import faster_layout
from mmdet_lordre.planning.measuring import config_of
from mmdet_lordre.planning.objects import read_both, read_objects
from mmdet_lordre.planning.sample import Looks
from mmdet_lordre.planning.writing import config_text

from .data import coco, square, write


class Measured:
    """Steps of so many seconds and MiB with the channels of a pixel side by side, the same with
    Winograd's gradients, and with the channels apart."""

    def __init__(self, side_by_side, apart, memory=100., device='cpu', winograd=9.):
        self.costs = {(True, False): Cost(side_by_side, 0., 100., False),
                      (False, False): Cost(apart, 0., memory, False),
                      (True, True): Cost(winograd, 0., 110., False)}
        self.device, self.asked = device, []

    def steps(self, one, precisions):
        self.asked.append((one.channels_last, one.winograd, precisions))
        return self.costs[one.channels_last, one.winograd]


@pytest.fixture
def one():
    train = read_objects(coco([[(square(60, 40, 30), 0)]] * 20), 'a.json', None)
    return fit(train, Looks(), 'lordre', steps=500)


ALL = [(True, False, ('float32',)), (False, False, ('float32',)), (True, True, ('float32',))]


@pytest.mark.parametrize('measured, low, limit, asked, expected', [
    (Measured(2., 1.), False, None, ALL, ([], 0.4, 100.)),  # half of what was interpolated
    (Measured(1., 2.), False, None, ALL, (['ChannelsLastHook'], 0.8, 90.)),
    (Measured(1., 0.98), False, None, ALL, (['ChannelsLastHook'], 0.8, 90.)),  # chance
    (Measured(2., 1.8, winograd=1.), False, None, ALL,
     (['ChannelsLastHook', 'WinogradHook'], 0.4, 110.)),
    (Measured(2., 1., winograd=1.5), False, None, ALL, ([], 0.4, 100.)),
    (Measured(1., 2., winograd=0.98), False, None, ALL, (['ChannelsLastHook'], 0.8, 90.)),
    (Measured(2., 1., winograd=0.5), False, 0.1, ALL, ([], 0.4, 100.)),  # in 102 MiB, not 110
    (Measured(2., 1., memory=2000.), False, 1., ALL, (['ChannelsLastHook'], 0.8, 90.)),
    (Measured(2., 1., memory=1000.), False, 1., ALL, ([], 0.4, 1000.)),
    (Measured(2., 1., memory=np.nan), False, 1., ALL, ([], 0.4, np.nan)),  # it is unknown
    (Measured(2., 1.), True, None, [], (['ChannelsLastHook'], 0.8, 90.)),
    (Measured(2., 1., device='cuda'), False, None, [], (['ChannelsLastHook'], 0.8, 90.)),
])
def test_the_faster_order_is_taken(one, measured, low, limit, asked, expected):
    found, cost = faster_layout(one, Cost(0.8, 0., 90., low), measured, limit)
    assert measured.asked == asked
    np.testing.assert_equal((cost.step, cost.memory), expected[1:])
    hooks = config_of(config_text(found, ('a.json', None), None)).custom_hooks
    assert [hook.type for hook in hooks] == expected[0]
    assert ('layout' in found.why) == (expected[0] != ['ChannelsLastHook'])


def test_a_plan_has_the_order_that_is_faster(one, tmp_path, monkeypatch):
    data = write(tmp_path, coco([[(square(6, 4, 30), 0)]] * 4, size=(64, 64)))
    seen = []

    def apart(fit, cost, measuring, memory):
        seen.append(fit.family)
        fit.why.update(layout='no hook', memory='too much before')
        return replace(fit, channels_last=False), replace(cost, step=60.)
    monkeypatch.setattr(planning, 'faster_layout', apart)
    train, _ = read_both(data)
    plan = planning.make_plan(train, minutes=3, families=['lordre'], size='nano', device='cpu',
                              ceilings=False)
    assert seen == ['lordre'] and plan.costs['lordre'].step == 60 and plan.fits['lordre'].steps == 3
    assert "'ChannelsLastHook'" not in plan.configs['lordre']
    assert 'memory' not in plan.fits['lordre'].why


def test_it_is_said_in_the_config(one):
    found, _ = faster_layout(one, Cost(0.8, 0., 90., False), Measured(2., 1.))
    assert '\n# no ChannelsLastHook: a step takes 1000 ms here without it, and 2000 with it\n' \
        'custom_hooks = []\n' in config_text(found, ('a.json', None), None)
    found, _ = faster_layout(one, Cost(0.8, 0., 90., False), Measured(2., 1.5, winograd=1.))
    assert '\n# WinogradHook: a step takes 1000 ms here with it, and 2000 without\n' in \
        config_text(found, ('a.json', None), None)
    found = replace(found, winograd=False, channels_last=False)
    averaged = config_of(config_text(replace(found, ema=0.01), ('a.json', None), None))
    assert [hook.type for hook in averaged.custom_hooks] == ['EMAHook']
