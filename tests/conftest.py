"""For every test: the device, see :mod:`tests.on_device`."""
import pytest

from tests import on_device

on_device.prepare()


def pytest_configure(config):
    said = on_device.problem()
    if said:
        raise pytest.UsageError(said)


@pytest.fixture(scope='session')
def device():
    """``'cpu'``, or ``'cuda'`` with ``make test DEVICE=cuda``."""
    return on_device.DEVICE
