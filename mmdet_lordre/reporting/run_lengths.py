"""Run lengths of many masks, checked at once: pycocotools trusts what it is given."""
from collections.abc import Sequence

import numpy as np

from ..masks.runs import MOST_DIGITS, characters_of, signed_numbers

#: Characters that are looked at in one go.
_CHARACTERS = 4_000_000


def run_totals(counts: Sequence[str | bytes]) -> np.ndarray:
    """Pixels that each of many compressed run lengths covers, background included.

    Args:
        counts: N texts as pycocotools writes them.

    Returns:
        (N,) int64; -1 for a text that is damaged (characters of another kind, a number that does
        not end, a run below 0).
    """
    texts = [c.encode('ascii', 'replace') if isinstance(c, str) else bytes(c) for c in counts]
    totals = np.zeros(len(texts), np.int64)
    start = 0
    while start < len(texts):
        stop, size = start, 0
        while stop < len(texts) and (size == 0 or size + len(texts[stop]) <= _CHARACTERS):
            size += len(texts[stop])
            stop += 1
        totals[start:stop] = _totals(texts[start:stop])
        start = stop
    return totals


def _totals(texts: list[bytes]) -> np.ndarray:
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    owner = np.repeat(np.arange(len(texts)), lengths)
    characters = characters_of(b''.join(texts))
    bad = np.zeros(len(texts), bool)
    wrong = (characters < 0) | (characters > 63)
    bad[owner[wrong]] = True
    characters[wrong] = 0
    goes_on = (characters & 32) > 0
    ends = np.cumsum(lengths) - 1
    open_end = (lengths > 0) & goes_on[np.where(lengths > 0, ends, 0)] if len(characters) else bad
    bad |= open_end
    goes_on[ends[lengths > 0]] = False  # a number never reaches into the next text
    last = np.flatnonzero(~goes_on)
    runs, size = signed_numbers(characters, last)
    owner = owner[last]
    long = size > MOST_DIGITS
    bad[owner[long]] = True
    runs[long] = 0
    # from the third on, each is the difference to the one before the last
    number = np.arange(len(runs)) - np.searchsorted(owner, owner)
    for parity in (0, 1):
        kind = np.flatnonzero((number % 2 == parity) & (number > 0))
        if not len(kind):
            continue
        sums = np.cumsum(runs[kind])
        begins = np.flatnonzero(np.concatenate([[True], owner[kind][1:] != owner[kind][:-1]]))
        before = np.concatenate([[0], sums])[begins]
        runs[kind] = sums - np.repeat(before, np.diff(np.append(begins, len(kind))))
    bad[owner[runs < 0]] = True
    totals = np.bincount(owner, runs, len(texts)).astype(np.int64)
    totals[bad] = -1
    return totals
