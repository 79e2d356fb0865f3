"""For every test: the device, see :mod:`tests.on_device`, and what only Linux has."""
import functools
import sys

import pytest

from tests import on_device

on_device.prepare()

#: One training serves all files of tests.
pytest_plugins = ['tests.cli.fixtures', 'tests.prediction.fixtures']

from mmengine.config import utils  # noqa: E402 - what imports torch comes after that

# mmengine reads a hundred metafiles whenever a config inherits from one of mmdet's
utils.load = functools.cache(utils.load)


def pytest_configure(config):
    said = on_device.problem()
    if said:
        raise pytest.UsageError(said)


def pytest_runtest_setup(item):
    if item.get_closest_marker('linux') and sys.platform != 'linux':
        pytest.skip('processes, signals, pipes and /proc as Linux has them')


@pytest.fixture(scope='session')
def device():
    """``'cpu'``, or ``'cuda'`` with ``make test DEVICE=cuda``."""
    return on_device.DEVICE
