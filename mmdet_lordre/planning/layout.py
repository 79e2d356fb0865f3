"""How convolutions are faster on this machine: their memory format and weight gradients."""
from dataclasses import replace

from .cost import Cost
from .fit import Fit
from .measuring import Measuring

#: Less than this part of the time is no accident of the measurement.
_WORTH = 0.97


def faster_layout(one: Fit, cost: Cost, measuring: Measuring,
                  memory: float | None = None) -> tuple[Fit, Cost]:
    """Try a fit with channels first, and with weight gradients by Winograd's filtering.

    A CPU with AVX2 computes weight gradients faster with channels first, everything else with
    channels last: which one wins, and whether Winograd's gradients do, depends on the size of the
    images. In bfloat16 and on a GPU channels last is taken.

    Args:
        one: A fit to train, as chosen.
        cost: Of its steps; they may follow from those of other sizes.
        measuring: Of the data that it is for.
        memory: GiB that a step may take.

    Returns:
        The fit and the cost of what is fastest.
    """
    if measuring.device != 'cpu' or cost.low_precision:
        return one, cost
    now = measuring.steps(one, ('float32',))
    best, least = one, now
    for other in (replace(one, channels_last=False), replace(one, winograd=True)):
        then = measuring.steps(other, ('float32',))
        if not (memory and then.memory > 1024 * memory) and \
                then.step < min(_WORTH * now.step, least.step):
            best, least = other, then
    if best is one:
        return one, cost
    which = 'WinogradHook: a step takes {} ms here with it, and {} without' if best.winograd else \
        'no ChannelsLastHook: a step takes {} ms here without it, and {} with it'
    reason = which.format(*(f'{1e3 * cost.step:.0f}' for cost in (least, now)))
    best = replace(best, why=dict(one.why, layout=reason))
    return best, replace(cost, step=cost.step * least.step / now.step, memory=least.memory)
