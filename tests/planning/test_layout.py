"""The order in memory in which convolutions are faster."""
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
    """Steps of so many seconds and MiB with the channels of a pixel side by side, and apart."""

    def __init__(self, side_by_side, apart, memory=100., device='cpu'):
        self.costs = {True: Cost(side_by_side, 0., 100., False),
                      False: Cost(apart, 0., memory, False)}
        self.device, self.asked = device, []

    def steps(self, one, precisions):
        self.asked.append((one.channels_last, precisions))
        return self.costs[one.channels_last]


@pytest.fixture
def one():
    train = read_objects(coco([[(square(60, 40, 30), 0)]] * 20), 'a.json', None)
    return fit(train, Looks(), 'lordre', steps=500)


BOTH = [(True, ('float32',)), (False, ('float32',))]


@pytest.mark.parametrize('measured, low, limit, asked, expected', [
    (Measured(2., 1.), False, None, BOTH, (False, 0.4, 100.)),  # half of what was interpolated
    (Measured(1., 2.), False, None, BOTH, (True, 0.8, 90.)),
    (Measured(1., 0.98), False, None, BOTH, (True, 0.8, 90.)),  # chance
    (Measured(2., 1., memory=2000.), False, 1., BOTH, (True, 0.8, 90.)),
    (Measured(2., 1., memory=1000.), False, 1., BOTH, (False, 0.4, 1000.)),
    (Measured(2., 1., memory=np.nan), False, 1., BOTH, (False, 0.4, np.nan)),  # it is unknown
    (Measured(2., 1.), True, None, [], (True, 0.8, 90.)),
    (Measured(2., 1., device='cuda'), False, None, [], (True, 0.8, 90.)),
])
def test_the_faster_order_is_taken(one, measured, low, limit, asked, expected):
    found, cost = faster_layout(one, Cost(0.8, 0., 90., low), measured, limit)
    assert measured.asked == asked
    np.testing.assert_equal((found.channels_last, cost.step, cost.memory), expected)
    hooks = config_of(config_text(found, ('a.json', None), None)).custom_hooks
    assert [hook.type for hook in hooks] == ['ChannelsLastHook'] * expected[0]
    assert ('channels_last' in found.why) == (not expected[0])


def test_a_plan_has_the_order_that_is_faster(one, tmp_path, monkeypatch):
    data = write(tmp_path, coco([[(square(6, 4, 30), 0)]] * 4, size=(64, 64)))
    seen = []

    def apart(fit, cost, measuring, memory):
        seen.append(fit.family)
        fit.why.update(channels_last='no hook', memory='too much before')
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
    averaged = config_of(config_text(replace(found, ema=0.01), ('a.json', None), None))
    assert [hook.type for hook in averaged.custom_hooks] == ['EMAHook']
