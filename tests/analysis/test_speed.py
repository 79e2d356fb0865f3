"""What is measured beside time."""
import math
import sys

import numpy as np

from mmdet_lordre.analysis.speed import peak_memory


def test_peak_memory_grows_with_what_the_process_held():
    before = peak_memory('cpu')
    assert 50 < before < 2**20, 'MiB'
    # more than the process ever held, every page of it touched
    held = np.ones(int((before + 64) * 2**20 / 8))
    assert peak_memory('cpu') >= before + 60
    del held
    assert peak_memory('cpu') >= before + 60


def test_peak_memory_is_unknown_without_the_module_of_unix(monkeypatch):
    monkeypatch.setitem(sys.modules, 'resource', None)
    assert math.isnan(peak_memory('cpu'))
