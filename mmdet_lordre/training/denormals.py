"""Numbers next to zero, which a CPU takes a hundred times as long for."""
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_are_zero() -> Iterator[None]:
    """Let the CPU take numbers below 1.2e-38 for zero, and put back what was.

    Far from its object a mask is sure of itself: its probabilities there, their squares and all
    that is multiplied with them are so small.
    """
    was_zero = not (torch.full((1,), 2.0**-130) * 0.5).item()
    torch.set_flush_denormal(True)  # False where the CPU cannot: nothing changes then
    try:
        yield
    finally:
        torch.set_flush_denormal(was_zero)
