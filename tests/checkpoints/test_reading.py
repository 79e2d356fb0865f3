"""Reading files of strangers: every honest kind is read, and nothing in a file is ever run."""
import collections
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from mmdet_lordre.checkpoints import ConversionError, convert_file, read_published
from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.errors import UserError

STATE = {'conv1.weight': torch.arange(6.).view(2, 3)}


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.system, (f'touch {self.path}', )


def check(path):
    state, meta = read_published(path)
    assert list(state) == list(STATE)
    assert torch.equal(state['conv1.weight'], STATE['conv1.weight'])
    return meta


@pytest.mark.parametrize('key', ['state_dict', 'model', None])
@pytest.mark.parametrize('new_format', [True, False])
def test_files_of_torch(tmp_path, key, new_format):
    content = {key: STATE, 'meta': {'CLASSES': ('fig', )}, 'iteration': 3} if key else STATE
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=new_format)
    assert check(tmp_path / 'a.pth') == (content['meta'] if key else {})


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
@pytest.mark.parametrize('wrap', [
    lambda arrays: {'model': arrays, '__author__': 'torchvision', 'matching_heuristics': True},
    lambda arrays: {'blobs': collections.OrderedDict(arrays)}, lambda arrays: arrays])
def test_pickles_of_arrays(tmp_path, protocol, wrap):
    arrays = {name: value.numpy() for name, value in STATE.items()}
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps(wrap(arrays), protocol))
    check(tmp_path / 'a.pkl')


def test_prefix_of_distributed_training_is_removed(tmp_path):
    torch.save({f'module.{name}': value for name, value in STATE.items()}, tmp_path / 'a.pth')
    check(tmp_path / 'a.pth')


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize('place', ['meta', 'state'])
def test_a_malicious_torch_file_is_refused_and_not_run(tmp_path, new_format, place):
    evil = Evil(tmp_path / 'ran')
    content = {'state_dict': dict(STATE), 'meta': {}}
    content['meta' if place == 'meta' else 'state_dict']['x'] = evil
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=new_format)
    with pytest.raises(ConversionError, match='refused') as error:
        convert_file(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert '\n' not in str(error.value) and str(tmp_path / 'a.pth') in str(error.value)
    assert sorted(os.listdir(tmp_path)) == ['a.pth']


@pytest.mark.parametrize('protocol', [0, 2, 5])
def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, protocol):
    (tmp_path / 'a.pkl').write_bytes(
        pickle.dumps({'model': {'conv1.weight': Evil(tmp_path / 'ran')}}, protocol))
    with pytest.raises(ConversionError, match=r'refused.*it wants to load \w+\.system'):
        convert_file(tmp_path / 'a.pkl', tmp_path / 'b.pth')
    assert sorted(os.listdir(tmp_path)) == ['a.pkl']


@pytest.mark.parametrize('module, name', [
    ('builtins', 'eval'), ('builtins', 'getattr'), ('numpy', 'load'), ('numpy', 'fromfile'),
    ('numpy.core.multiarray', 'fromfile'), ('torch', 'load'), ('_codecs', 'decode'),
    ('numpy', 'ndarray.tofile'), ('numpy.ctypeslib', 'load_library'), ('os', 'system')])
def test_only_what_arrays_need_is_loaded(tmp_path, module, name):
    (tmp_path / 'a.pkl').write_bytes(
        b'\x80\x04' + pickle.SHORT_BINUNICODE + bytes([len(module)]) + module.encode()
        + pickle.SHORT_BINUNICODE + bytes([len(name)]) + name.encode() + pickle.STACK_GLOBAL
        + b'.')
    with pytest.raises(ConversionError, match='refused'):
        read_published(tmp_path / 'a.pkl')


def test_arrays_of_objects_are_not_tensors(tmp_path):
    (tmp_path / 'a.pkl').write_bytes(pickle.dumps({'conv1.weight': np.array([{}, None])}))
    with pytest.raises(ConversionError, match=r'not tensors: conv1\.weight'):
        read_published(tmp_path / 'a.pkl')


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 broken', b'\x80\x02',
                                     b'\x80\x04K\x05.'])
def test_other_files_are_refused_in_one_line(tmp_path, content):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(UserError, match=r'a\.pth') as error:
        read_published(tmp_path / 'a.pth')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content, said', [
    (b'epoch 1, loss 0.3\n', 'is a text, not a checkpoint'), (b'', 'is empty'),
    (b'\x89PNG\r\n\x1a\n', 'not a checkpoint'), (b'h\0\0', 'not what torch.save writes')])
def test_other_files_are_named_in_plain_words(tmp_path, content, said):
    (tmp_path / 'a.pth').write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read_published(tmp_path / 'a.pth')
    assert 'Memo' not in str(error.value) and 'pickle' not in str(error.value)


def test_a_zip_that_torch_did_not_write_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.pth', 'w') as archive:
        archive.writestr('readme.txt', 'hello')
    with pytest.raises(ConversionError, match='not a checkpoint'):
        read_published(tmp_path / 'a.pth')


def test_a_missing_or_empty_one_is_named(tmp_path):
    with pytest.raises(ConversionError, match=r'gone\.pth: no such file'):
        read_published(tmp_path / 'gone.pth')
    torch.save({'state_dict': {}}, tmp_path / 'empty.pth')
    with pytest.raises(ConversionError, match=r'empty\.pth: .*empty'):
        read_published(tmp_path / 'empty.pth')
    torch.save({'epoch': 3, 'lr': 0.1}, tmp_path / 'other.pth')
    with pytest.raises(ConversionError, match='no state dict under state_dict, model, blobs'):
        read_published(tmp_path / 'other.pth')


def test_limits_of_published_files(tmp_path):
    """Size, compression and kind are looked at as of any checkpoint."""
    path, packed = tmp_path / 'a.pth', tmp_path / 'packed.pth'
    torch.save(dict(model=dict(STATE, large=torch.zeros(2**18))), path)
    with zipfile.ZipFile(path) as source, \
            zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(UserError, match='compressed archive'):
        read_published(packed)
    with open(tmp_path / 'large.pkl', 'wb') as file:
        file.truncate(17 * 2**30)
    with pytest.raises(UserError, match=r'has 17\.0 GiB'):
        read_published(tmp_path / 'large.pkl')
    (tmp_path / 'page.pth').write_text('\n<!DOCTYPE html><html>not found</html>')
    for read in (read_published, read_checkpoint):
        with pytest.raises(UserError, match=r'page\.pth is a web page'):
            read(tmp_path / 'page.pth')


def test_encode_is_for_the_bytes_of_arrays(tmp_path):
    class Encodes:
        def __reduce__(self):
            import codecs
            return codecs.encode, ('text', 'rot13')
    path = tmp_path / 'a.pkl'
    path.write_bytes(pickle.dumps(dict(model=dict(w=Encodes())), protocol=2))
    with pytest.raises(ConversionError, match='refused'):
        read_published(path)
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    path.write_bytes(pickle.dumps(dict(model={'conv1.weight': array}), protocol=2))
    check(path)


@pytest.mark.parametrize('content', [b'hello\n', b'iris,1,2\n', b'\x80\x02', b'(dp0\n', b'0' * 300,
                                     b'version https://git-lfs.github.com/spec/v1\n'])
def test_other_files_end_in_one_line(tmp_path, content):
    (tmp_path / 'a.pth').write_bytes(content)
    for read in (read_published, read_checkpoint):
        with pytest.raises(UserError, match=r'a\.pth') as error:
            read(tmp_path / 'a.pth')
        assert '\n' not in str(error.value)
