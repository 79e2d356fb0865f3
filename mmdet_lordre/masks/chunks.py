"""How much to hold at once."""
import torch

# Elements (not bytes) of the largest temporary. A CPU wants a temporary that stays in its
# cache, a GPU one that fills the device.
CPU_BUDGET = 2**22
DEVICE_BUDGET = 2**26


def chunk_size(elements_per_item: int, budget: int | None = None,
               device: torch.device | str | None = None) -> int:
    """Number of items whose temporaries stay within ``budget`` elements, at least 1.

    Args:
        elements_per_item: Elements of the temporary that one item needs.
        budget: Elements to stay within. By default it follows ``device``.
        device: Where the temporary lives; a CPU where not given.
    """
    if budget is None:
        on_cpu = device is None or torch.device(device).type == 'cpu'
        budget = CPU_BUDGET if on_cpu else DEVICE_BUDGET
    return max(1, budget // max(1, int(elements_per_item)))
