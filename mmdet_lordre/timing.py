"""How long small computations take."""
import time
from collections.abc import Callable


def fewest_seconds(call: Callable[[], object], times: int = 3) -> float:
    """Seconds on the clock that a small computation takes, the fewest of some calls."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)
