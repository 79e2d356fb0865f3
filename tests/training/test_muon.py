"""Muon for convolutions and AdamW for the rest: by hand, and beside torch's own optimizers."""
import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn

from mmdet_lordre.training.muon import MuonWithAdamW, orthogonalized
from mmdet_lordre.training.space import checkpoint_size

SHAPES = (2, 16, 27), (3, 64, 576), (1, 64, 32), (2, 32, 32), (1, 128, 130)


def _net():
    """Convolutions, of them one depthwise and one narrow, norms, linear layers."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, bias=False),
        nn.Conv2d(32, 32, 3, groups=32), nn.Conv2d(32, 16, 1), nn.Conv2d(16, 4, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 32), nn.Linear(32, 2))


def _step(net, optimizer, seed):
    torch.manual_seed(seed)
    optimizer.zero_grad()
    net(torch.randn(2, 3, 12, 12)).square().mean().backward()
    optimizer.step()


def _gradients(net, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for param in net.parameters():
        param.grad = torch.randn(param.shape, generator=generator)


@pytest.mark.parametrize('dtype', (torch.float32, torch.float64, torch.bfloat16))
def test_singular_values_come_near_one_and_vectors_stay(dtype):
    torch.manual_seed(0)
    stacks = [torch.randn(shape, dtype=torch.float64) for shape in SHAPES]
    for matrices, found in zip(stacks, orthogonalized([m.to(dtype) for m in stacks])):
        assert found.shape == matrices.shape and found.dtype == dtype
        u, values, vh = torch.linalg.svd(matrices, full_matrices=False)
        inside = u.mT @ found.double() @ vh.mT
        # what random matrices have of small singular values comes up to 1 more slowly
        seen = inside.diagonal(dim1=-2, dim2=-1)[values > values.amax(-1, keepdim=True) / 50]
        assert seen.min() > 0.6 and seen.max() < 1.3
        across = inside - torch.diag_embed(inside.diagonal(dim1=-2, dim2=-1))
        assert across.abs().max() < (0.02 if dtype == torch.bfloat16 else 1e-2)


def test_the_iteration_by_hand():
    """A diagonal matrix stays one: each value goes through the quintic five times by itself."""
    values = torch.tensor([3., 2., 1., 0.5] + [0.25] * 12, dtype=torch.float64)
    expected = values / values.norm()
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    square = torch.diag(values)
    for matrix in (square, torch.cat((square, torch.zeros_like(square)), 1)):
        found = orthogonalized([matrix[None]])[0][0]
        torch.testing.assert_close(found[:, :16].diagonal(), expected)
        assert found.count_nonzero() == 16


def test_zeros_stay_zeros():
    assert not orthogonalized([torch.zeros(2, 16, 32)])[0].any()


def test_a_momentum_that_has_faded_away_moves_nothing():
    """As of a layer that gets no gradients for a thousand steps; squares of 1e-24 are zero."""
    torch.manual_seed(0)
    for size in (1e-14, 1e-24, 1e-38):
        found, = orthogonalized([size * torch.randn(1, 16, 64)])
        assert found.isfinite().all() and found.abs().max() < 1e-2


@pytest.mark.skipif(not hasattr(torch.optim, 'Muon'), reason='torch has no Muon before 2.9')
@pytest.mark.parametrize('shape', ((32, 72), (72, 32), (40, 40)))
def test_equals_the_muon_of_torch(shape):
    """Which takes matrices alone, and computes in bfloat16."""
    torch.manual_seed(0)
    start = torch.randn(shape)
    theirs, ours = nn.Parameter(start.clone()), nn.Parameter(start.clone()[..., None, None])
    reference = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.2, momentum=0.9,
                                 adjust_lr_fn='match_rms_adamw')
    optimizer = MuonWithAdamW([ours], lr=0.1, weight_decay=0.2, momentum=0.9)
    for seed in range(3):
        grad = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        theirs.grad, ours.grad = grad, grad[..., None, None].clone()
        before = ours.detach().clone()
        reference.step()
        optimizer.step()
        moved = (ours.detach() - before).norm()
        assert (theirs.detach() - ours.detach()[..., 0, 0]).norm() < 0.02 * moved


def test_the_order_of_weights_in_memory_changes_nothing():
    plain = [nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
             for shape in ((16, 5, 3, 2), (24, 16, 1, 1), (16, 40, 3, 3))]
    turned = [nn.Parameter(p.detach().to(memory_format=torch.channels_last)) for p in plain]
    assert not turned[0].is_contiguous() and not turned[2].is_contiguous()
    start = [p.detach().clone() for p in plain]
    for params in (plain, turned):
        optimizer = MuonWithAdamW(params, lr=0.1)
        for seed in range(2):
            for param in params:
                gradient = torch.randn(param.shape, generator=torch.Generator().manual_seed(seed))
                param.grad = torch.empty_like(param).copy_(gradient)
            optimizer.step()
    for one, two, before in zip(plain, turned, start):
        assert two.stride() == before.to(memory_format=torch.channels_last).stride()
        assert (one - before).abs().min() > 0
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_all_else_is_adamw():
    net, other = _net(), _net()
    optimizer = MuonWithAdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    reference = torch.optim.AdamW(other.parameters(), lr=0.01, weight_decay=0.1)
    for seed in range(3):
        _gradients(net, seed)
        _gradients(other, seed)
        optimizer.step()
        reference.step()
    differ = {name for (name, one), two in zip(net.named_parameters(), other.parameters())
              if not torch.allclose(one, two, rtol=1e-5, atol=1e-6)}
    # not the depthwise one (4), not the one with four outputs (6), no bias, norm or linear layer
    assert differ == {'0.weight', '3.weight', '5.weight'}
    assert set(optimizer.state[net[3].weight]) == {'momentum'}


def test_what_has_no_gradient_stays_and_zero_gradients_do_no_harm():
    net = _net()
    before = copy.deepcopy(net.state_dict())
    _gradients(net)
    net[3].weight.grad = None
    net[5].weight.grad.zero_()
    MuonWithAdamW(net.parameters(), lr=0.1, weight_decay=0.).step()
    assert torch.equal(net[3].weight, before['3.weight'])
    assert torch.equal(net[5].weight, before['5.weight'])
    assert all(param.isfinite().all() for param in net.parameters())
    assert not torch.equal(net[0].weight, before['0.weight'])


def test_the_memory_format_does_not_matter():
    nets = _net(), _net().to(memory_format=torch.channels_last)
    for net in nets:
        optimizer = MuonWithAdamW(net.parameters(), lr=0.01)
        for seed in range(3):
            _gradients(net, seed)
            optimizer.step()
    for one, two in zip(*(net.parameters() for net in nets)):
        torch.testing.assert_close(one, two)


def test_goes_on_bit_by_bit_from_its_state():
    whole, first = _net(), _net()
    optimizer = MuonWithAdamW(whole.parameters(), lr=0.01)
    for seed in range(4):
        _step(whole, optimizer, seed)
    optimizer = MuonWithAdamW(first.parameters(), lr=0.01)
    for seed in range(2):
        _step(first, optimizer, seed)
    second, state = copy.deepcopy(first), copy.deepcopy(optimizer.state_dict())
    optimizer = MuonWithAdamW(second.parameters(), lr=0.5, momentum=0.1)
    optimizer.load_state_dict(state)
    for seed in range(2, 4):
        _step(second, optimizer, seed)
    for one, two in zip(whole.state_dict().values(), second.state_dict().values()):
        assert torch.equal(one, two)


def test_groups_have_rates_of_their_own_and_configs_know_the_name():
    net = _net()
    optimizer = OPTIMIZERS.build(dict(
        type='MuonWithAdamW', lr=0.01, weight_decay=0.,
        params=[dict(params=list(net[0].parameters()), lr=0.),
                dict(params=list(net[3].parameters()))]))
    before = copy.deepcopy(net.state_dict())
    _gradients(net)
    optimizer.step()
    assert torch.equal(net[0].weight, before['0.weight'])
    moved = (net[3].weight.detach() - before['3.weight']).norm()
    # 0.2 times the rate is the root mean square of an update whose singular values are 1
    assert float(moved) / net[3].weight.numel()**0.5 == pytest.approx(0.2 * 0.01, rel=0.25)


def test_a_group_for_each_parameter_learns_as_one_group():
    """``paramwise_cfg`` of mmengine makes them; what has the same settings is updated together."""
    nets = _net(), _net(), _net()
    last = list(nets[2].parameters())
    optimizers = (
        MuonWithAdamW(nets[0].parameters(), lr=0.01),
        MuonWithAdamW([dict(params=[param], betas=[0.9, 0.999]) for param in nets[1].parameters()],
                      lr=0.01),
        MuonWithAdamW([dict(params=[param], lr=0.01 * (param is last[0])) for param in last]))
    for seed in range(2):
        for net, optimizer in zip(nets, optimizers):
            _gradients(net, seed)
            optimizer.step()
    for one, two in zip(nets[0].parameters(), nets[1].parameters()):
        torch.testing.assert_close(one, two)
    torch.testing.assert_close(last[0], next(nets[0].parameters()))
    assert all(torch.equal(one, two) for one, two in zip(last[1:], list(_net().parameters())[1:]))
    assert len(list(optimizers[1]._groups())) == 1 and len(list(optimizers[2]._groups())) == 2


def test_parameters_of_any_shape():
    shapes = (), (0, ), (0, 16, 3, 3), (16, 0, 3, 3), (16, 16, 3), (16, 16, 1, 3, 3)
    params = [nn.Parameter(torch.ones(shape)) for shape in shapes]
    for param in params:
        param.grad = torch.randn(param.shape)
    MuonWithAdamW(params, lr=0.1).step()
    assert all(param.isfinite().all() and (param != 1).all() for param in params)


@pytest.mark.parametrize('wrong', (dict(lr=-1), dict(momentum=1.), dict(betas=(0.9, 1.)),
                                   dict(weight_decay=-0.1), dict(eps=-1)))
def test_numbers_out_of_their_range(wrong):
    with pytest.raises(ValueError, match='='):
        MuonWithAdamW(_net().parameters(), **wrong)


def test_the_size_of_a_checkpoint_is_that_of_its_state():
    net = _net()
    optimizer = MuonWithAdamW(net.parameters())
    runner = SimpleNamespace(model=net, hooks=(), optim_wrapper=OptimWrapper(optimizer))
    _step(net, optimizer, 0)
    kept = [*net.parameters(), *net.buffers(), *(
        value for state in optimizer.state.values() for value in state.values() if value.ndim)]
    assert checkpoint_size(runner) == sum(t.numel() * t.element_size() for t in kept)
