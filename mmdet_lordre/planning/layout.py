"""The memory format in which convolutions are faster on this machine."""
from dataclasses import replace

from .cost import Cost
from .fit import Fit
from .measuring import Measuring

#: Less than this part of the time is no accident of the measurement.
_WORTH = 0.97


def faster_layout(one: Fit, cost: Cost, measuring: Measuring,
                  memory: float | None = None) -> tuple[Fit, Cost]:
    """Try a fit with channels first.

    A CPU with AVX2 computes weight gradients faster with channels first, everything else with
    channels last: which one wins depends on the size of the images. In bfloat16 and on a GPU
    channels last is taken.

    Args:
        one: A fit to train, as chosen.
        cost: Of its steps; they may follow from those of other sizes.
        measuring: Of the data that it is for.
        memory: GiB that a step may take.

    Returns:
        The fit and the cost in the format that is faster.
    """
    if measuring.device != 'cpu' or cost.low_precision:
        return one, cost
    first = replace(one, channels_last=False)
    now, then = (measuring.steps(fit, ('float32',)) for fit in (one, first))
    if (memory and then.memory > 1024 * memory) or not then.step < _WORTH * now.step:
        return one, cost
    first.why['channels_last'] = (
        f'no ChannelsLastHook: a step takes {then.step * 1e3:.0f} ms here without it, and '
        f'{now.step * 1e3:.0f} with it')
    return first, replace(cost, step=cost.step * then.step / now.step, memory=then.memory)
