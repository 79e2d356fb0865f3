import pytest
import torch
from mmdet.models.losses import DiceLoss

from mmdet_lordre.grid import chunked_sum, dice_losses, kernel_dice


def test_dice_worked_by_hand():
    # p = 1/2 everywhere: p.t = 1, p.p = 1, t.t = 2
    loss = dice_losses(torch.zeros(1, 2, 2), torch.tensor([[[1, 1], [0, 0]]]))
    torch.testing.assert_close(loss, torch.tensor([1 - 2 / 3.002]))


def test_dice_equals_mmdet():
    logits = torch.randn(5, 7, 9)
    targets = torch.rand(5, 7, 9) > 0.5
    targets[2] = False
    torch.testing.assert_close(dice_losses(logits, targets),
                               DiceLoss()(logits, targets, reduction_override='none'))


def case(pairs=37, dtype=torch.float32):
    torch.manual_seed(0)
    kernels = (0.3 * torch.randn(pairs, 16)).to(dtype).requires_grad_()
    features = torch.randn(3, 16, 12, 20).to(dtype).requires_grad_()
    targets = torch.rand(6, 12, 20) > 0.6
    counts = [pairs // 3, 0, pairs - pairs // 3]
    return kernels, features, targets, torch.randint(6, (pairs,)), torch.rand(pairs), counts


def plain(kernels, features, targets, gts, weights, counts):
    images = torch.arange(3).repeat_interleave(torch.tensor(counts))
    logits = torch.einsum('pc,pchw->phw', kernels, features[images])
    return (weights * dice_losses(logits, targets[gts])).sum()


@pytest.mark.parametrize('chunk', [1, 5, 37, 100, None])
def test_kernel_dice_equals_plain_value_and_gradients(chunk):
    kernels, features, *rest = case()
    expected = plain(kernels, features, *rest)
    wanted = torch.autograd.grad(1.7 * expected, (kernels, features))
    got = kernel_dice(kernels, features, *rest, chunk=chunk)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(torch.autograd.grad(1.7 * got, (kernels, features)), wanted,
                            strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_kernel_dice_gradient_of_one_input_only():
    kernels, features, *rest = case()
    wanted = torch.autograd.grad(plain(kernels, features, *rest), kernels)[0]
    got = torch.autograd.grad(kernel_dice(kernels, features.detach(), *rest), kernels)[0]
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        assert not kernel_dice(kernels, features, *rest).requires_grad


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_kernel_dice_of_half_precision_inputs_computes_in_float32(dtype):
    kernels, features, *rest = case(dtype=dtype)
    with torch.autocast('cpu', torch.bfloat16):
        got = kernel_dice(kernels, features, *rest)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, plain(kernels.float(), features.float(), *rest))
    got.backward()
    assert kernels.grad.dtype == dtype and features.grad.isfinite().all()


def test_kernel_dice_without_pairs_has_zero_gradients():
    kernels, features, *rest = case(0)
    loss = kernel_dice(kernels, features, *rest)
    loss.backward()
    assert loss == 0 and not features.grad.any()


def test_kernel_dice_goes_backward_once():
    loss = kernel_dice(*case())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match='second time'):
        loss.backward()


def test_counts_must_fit():
    *inputs, counts = case()
    for wrong in (counts[:2], [1, 2, 3]):
        with pytest.raises(ValueError, match='counts'):
            kernel_dice(*inputs, wrong)


def test_chunked_sum_equals_one_call_and_recomputes():
    torch.manual_seed(0)
    weight = torch.randn(6, 30, requires_grad=True)
    logits = torch.randn(37, 6)
    targets = torch.rand(37, 30) > 0.5
    calls = []

    def loss(part):
        calls.append(part)
        return dice_losses(logits[part] @ weight, targets[part]).sum()

    expected = loss(slice(0, 37))
    wanted, = torch.autograd.grad(expected, weight)
    calls.clear()
    got = chunked_sum(loss, 37, 10)
    assert len(calls) == 4
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(torch.autograd.grad(got, weight)[0], wanted, rtol=1e-5, atol=1e-6)
    assert len(calls) == 8
