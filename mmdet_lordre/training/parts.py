"""Whether the neck of a detector takes what its backbone gives."""
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.model import is_model_wrapper
from torch import nn

from ..errors import UserError

#: Pixels of the blank square picture that is put through backbone and neck.
_SIDE = 256


@contextmanager
def neck_explained(model: nn.Module) -> Iterator[None]:
    """Say in one line what ends the block, if it is that the model's neck does not fit.

    Raises:
        UserError: The text of :func:`misfit`, in place of an error that says less.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if what := misfit(model):
            raise UserError(what) from error
        raise


@torch.no_grad()
def misfit(model: nn.Module) -> str | None:
    """Why a detector that fails at its first step does so, if it is for its neck.

    Libraries' necks say so by a bare assertion, or by the shape of a convolution's weights.

    Args:
        model: With ``backbone`` and ``neck``.

    Returns:
        The text of an error, or None if they fit.
    """
    model = model.module if is_model_wrapper(model) else model
    backbone, neck = getattr(model, 'backbone', None), getattr(model, 'neck', None)
    if backbone is None or neck is None:
        return None
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        device = next(model.parameters()).device
        try:
            maps = backbone(torch.zeros(1, 3, _SIDE, _SIDE, device=device))
        except Exception:  # then it is not the neck
            return None
        try:
            neck(maps)
            return None
        except Exception as error:
            return _text(neck, maps, error)
    finally:
        for module, training in modes.items():
            module.training = training


def _text(neck, maps, error):
    channels = [level.shape[1] for level in maps]
    given = getattr(neck, 'in_channels', None)
    text = f'model.neck does not take the maps of model.backbone, which have {channels} channels'
    if isinstance(given, (list, tuple)) and list(given) != channels:
        return (f'{text}: set model.neck.in_channels={channels} in place of {list(given)}, or '
                'model.backbone.out_indices to the levels that it is for')
    return f'{text}: {type(error).__name__}: {error}'
