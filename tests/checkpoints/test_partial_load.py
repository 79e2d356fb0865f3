"""What of a checkpoint fits a model, and the table of what does not."""
import pytest
import torch
from torch import nn

from mmdet_lordre.checkpoints.partial_load import match_state_dict, state_dict_of
from mmdet_lordre.errors import UserError


def model(classes=3):
    net = nn.ModuleDict(dict(body=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4),
                             classify=nn.Linear(4, classes)))
    return net


def test_all_fits():
    fit = match_state_dict(model(), model().state_dict())
    assert fit.complete and fit.table() == '' and len(fit.state) == fit.total == 9
    fit.demand_complete('x.pth', 'c.py')


def test_names_of_parallel_training():
    state = {f'module.{name}': value for name, value in model().state_dict().items()}
    assert match_state_dict(model(), state).complete


def test_other_classes():
    fit = match_state_dict(model(3), model(8).state_dict())
    assert fit.table().splitlines() == [
        '  left out         checkpoint  model',
        '  classify.weight  8x4         3x4    other shape',
        '  classify.bias    8           3      other shape']
    with pytest.raises(UserError, match=r'x\.pth has 8 classes, c\.py has 3'):
        fit.demand_complete('x.pth', 'c.py', num_classes=3)
    with pytest.raises(UserError, match=r'2 tensors have other shapes \(classify\.weight: 8x4'):
        fit.demand_complete('x.pth', 'c.py')


def test_missing_and_unknown_parts():
    state = model().state_dict()
    del state['body.weight'], state['body.bias'], state['norm.num_batches_tracked']
    state['old.weight'] = torch.ones(2, 2)
    fit = match_state_dict(model(), state)
    assert [row.split()[0] for row in fit.table().splitlines()[1:]] == ['body.*', 'old.weight']
    assert 'not in the checkpoint' in fit.table() and 'not in the model' in fit.table()
    with pytest.raises(UserError, match=r'2 are not in the checkpoint \(body\.weight'):
        fit.demand_complete('x.pth', 'c.py')
    # more than the model needs is no reason to refuse, nor is a counter of batches
    state.update(model().state_dict())
    del state['norm.num_batches_tracked']
    match_state_dict(model(), state).demand_complete('x.pth', 'c.py')


def test_the_table_is_short():
    state = {f'part{i}.weight': torch.ones(1) for i in range(500)}
    table = match_state_dict(model(), state).table()
    assert len(table.splitlines()) == 14 and table.endswith('and 491 more')


def test_weights_with_or_without_a_wrapper():
    assert state_dict_of(dict(state_dict=dict(a=1))) == dict(a=1)
    assert state_dict_of(dict(a=1)) == dict(a=1)
    with pytest.raises(UserError, match='no state_dict'):
        state_dict_of(dict(state_dict=[1]))


def test_weights_that_are_no_numbers():
    state = model().state_dict()
    name = next(iter(state))
    state[name] = torch.full_like(state[name], float('inf'))
    match_state_dict(model(), model().state_dict()).demand_finite('x.pth')
    with pytest.raises(UserError, match=rf'x\.pth: 1 tensor of .* \({name}\): .* an earlier'):
        match_state_dict(model(), state).demand_finite('x.pth')


def test_weights_of_another_kind():
    with pytest.raises(UserError, match=r'x\.pth has no state_dict: its weights are a NoneType'):
        state_dict_of(dict(state_dict=None), 'x.pth')


def test_negative_variances():
    norm = torch.nn.BatchNorm2d(2)
    state = norm.state_dict()
    state['running_var'] = torch.tensor([1., -1.])
    with pytest.raises(UserError, match=r'1 tensor of 5 has negative variances \(running_var\)'):
        match_state_dict(norm, state).demand_finite('x.pth')
