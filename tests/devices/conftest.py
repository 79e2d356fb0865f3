"""These tests run in a process of their own (tests/test_devices.py).

torch's autograd makes its threads for the devices that it knows at the first backward pass.
"""
import os

from .simulated import set_up

if os.environ.get('SIMULATED_DEVICE'):
    set_up()
else:
    collect_ignore_glob = ['test_*.py']
