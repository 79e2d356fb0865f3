"""The heads on a device that is not the CPU: tests/devices, in a process that makes one up."""
import os
import subprocess
import sys

import pytest

from .cli.tiny import ROOT


def test_on_a_simulated_device():
    if not hasattr(__import__('torch.utils.backend_registration', fromlist=['x']),
                   '_setup_privateuseone_for_python_backend'):
        pytest.skip('this torch has no backend for Python')
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', 'tests/devices', '-q', '-p', 'no:cacheprovider',
         '-p', 'no:xdist'], cwd=ROOT, capture_output=True, text=True, timeout=600,
        env=dict(os.environ, SIMULATED_DEVICE='1'))
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
