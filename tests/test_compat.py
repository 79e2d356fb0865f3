"""Which versions of the libraries below are accepted, and the sentence for others."""
import importlib
import types

import pytest

from mmdet_lordre import compat

# What the two stacks are made of; constraints.txt pins one of each.
SUPPORTED = [
    ('OpenMMLab', dict(torch='2.13.0+cpu', mmengine='0.10.7', mmcv='2.1.0', mmdet='3.3.0')),
    ('OpenMMLab, oldest', dict(torch='2.6.0', mmengine='0.10.3', mmcv='2.1.0', mmdet='3.3.0')),
    ('onedl', dict(torch='2.13.0+cpu', mmengine='0.10.12', mmcv='2.3.6', mmdet='3.5.1')),
    ('onedl, oldest', dict(torch='2.6.0+cu124', mmengine='0.10.12', mmcv='2.3.0', mmdet='3.5.0'))]
# library, version, what the sentence says
REFUSED = [
    ('torch', '2.5.1', 'needs torch>=2.6 but found 2.5.1'),
    ('mmengine', '0.10.2', 'needs mmengine>=0.10.3,<1.0 but found 0.10.2'),
    ('mmengine', '1.0.0', 'needs mmengine>=0.10.3,<1.0 but found 1.0.0'),
    ('mmcv', '2.0.1', 'needs mmcv>=2.1.0,<3.0 but found 2.0.1'),
    ('mmdet', '3.2.0', 'needs mmdet>=3.3.0,<4.0 but found 3.2.0'),
    ('mmdet', '4.0.0', 'needs mmdet>=3.3.0,<4.0 but found 4.0.0')]


@pytest.fixture
def install(monkeypatch):
    """Pretend that these versions are installed; an exception is what importing raises."""
    def pretend(versions):
        def import_module(name):
            version = versions.get(name, '1')
            if isinstance(version, Exception):
                raise version
            return types.SimpleNamespace(__version__=version)
        monkeypatch.setattr(compat, 'importlib', types.SimpleNamespace(import_module=import_module))
    return pretend


@pytest.mark.parametrize('versions', [v for _, v in SUPPORTED], ids=[n for n, _ in SUPPORTED])
def test_supported(install, versions):
    install(versions)
    compat.check_stack()


@pytest.mark.parametrize('name, version, said', REFUSED)
def test_refused(install, name, version, said):
    install(SUPPORTED[0][1] | {name: version})
    with pytest.raises(ImportError) as error:
        compat.check_stack()
    text = str(error.value)
    assert said in text and 'mmdet_lordre[openmmlab]' in text and 'mmdet_lordre[onedl]' in text
    assert '\n' not in text


def test_what_mmdet_itself_refuses(install):
    """It asserts the versions of mmcv that it knows."""
    install(SUPPORTED[0][1] | dict(mmdet=AssertionError('MMCV==2.2.0 is used but incompatible')))
    with pytest.raises(ImportError, match=r'mmdet>=3\.3\.0,<4\.0, which cannot be imported '
                                          r'\(MMCV==2\.2\.0 is used but incompatible\)'):
        compat.check_stack()


def test_without_compiled_operators(install):
    install(SUPPORTED[0][1] | {'mmcv.ops': ImportError('no module mmcv._ext')})
    with pytest.raises(ImportError, match='uninstall mmcv-lite'):
        compat.check_stack()


def test_the_pinned_versions_are_supported():
    from .cli.tiny import ROOT
    pins = dict(line.split('==') for line in (ROOT / 'constraints.txt').read_text().splitlines()
                if '==' in line)
    for stack, prefix, detection in (('OpenMMLab', '', 'mmdet'),
                                     ('onedl', 'onedl-', 'onedl-mmdetection')):
        versions = dict(SUPPORTED)[stack]
        assert versions['torch'].split('+')[0] == pins['torch']
        assert versions['mmengine'] == pins[f'{prefix}mmengine']
        assert versions['mmcv'] == pins[f'{prefix}mmcv'] and versions['mmdet'] == pins[detection]


def test_what_is_installed_is_supported():
    compat.check_stack()
    # and it is these that were looked at
    assert set(compat.REQUIRED) == {'torch', 'mmengine', 'mmcv', 'mmdet'}
    assert all(importlib.import_module(name).__version__ for name in compat.REQUIRED)
