"""Checkpoints are data: mmengine's own are read, anything that acts is refused."""
import http.server
import pickle
import threading
import zipfile
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.fileio.handlers import yaml_handler
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as module
from mmengine.runner.checkpoint import CheckpointLoader, load_checkpoint

import mmdet_lordre
from mmdet_lordre.checkpoints.reading import read_published
from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.errors import UserError


@pytest.fixture
def secured():
    """After ``secure()``, which is undone at the end."""
    with as_before():
        mmdet_lordre.secure()
        yield


@contextmanager
def as_before():
    """Put back what ``secure()`` changes."""
    loaders, names, yaml = CheckpointLoader._schemes, dict(vars(module)), yaml_handler.Loader
    try:
        yield
    finally:
        CheckpointLoader._schemes, yaml_handler.Loader = loaders, yaml
        vars(module).update(names)


class Runs:
    """Unpickled the ordinary way, it runs a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os
        return os.system, (f'touch {self.path}',)


class Evaluates(Runs):
    def __reduce__(self):
        return eval, (f'open({str(self.path)!r}, "w")',)


class Reaches(Runs):
    """By ``getattr``, of which mmengine's log history makes use."""

    def __reduce__(self):
        return getattr, (eval, '__call__')


class ReachesHistory(Runs):
    """Another attribute of the class that is allowed."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


@pytest.mark.parametrize('attack', [Runs, Evaluates, Reaches, ReachesHistory])
@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
def test_code_is_refused(tmp_path, monkeypatch, secured, attack, legacy):
    trace, path = tmp_path / 'trace', tmp_path / 'x.pth'
    torch.save(dict(state_dict={}, meta=attack(trace)), path,
               _use_new_zipfile_serialization=not legacy)
    # not even when the user's environment asks for it
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    with pytest.raises(UserError, match='refused') as error:
        read_checkpoint(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)
    # what it wanted to run, not torch's advice to let it
    assert 'asks for ' in str(error.value) and 'torch.load' not in str(error.value)
    with pytest.raises(UserError, match='it wants to load '):
        read_published(path)
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(torch.nn.Linear(1, 1), str(path))  # mmengine's, by anyone's code
    assert not trace.exists()


def test_the_attack_would_work(tmp_path):
    """The refusal above is worth something: unrestricted, the file does act."""
    trace, path = tmp_path / 'trace', tmp_path / 'x.pth'
    torch.save(dict(meta=Runs(trace)), path)
    torch.load(path, weights_only=False)
    assert trace.exists()


def test_downloaded_files_are_no_exception(tmp_path, monkeypatch):
    """What mmengine downloads goes through torch.hub, which executes by default."""
    trace = tmp_path / 'trace'
    torch.save(dict(meta=Runs(trace)), tmp_path / 'evil.pth')
    torch.save(dict(state_dict=dict(weight=torch.ones(2))), tmp_path / 'good.pth')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                             partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f'http://127.0.0.1:{server.server_port}'
        assert read_checkpoint(f'{url}/good.pth')['state_dict']['weight'].tolist() == [1, 1]
        with pytest.raises(UserError, match='refused'):
            read_checkpoint(f'{url}/evil.pth')
        assert not trace.exists()
        with as_before(), pytest.raises(pickle.UnpicklingError):
            mmdet_lordre.secure()
            CheckpointLoader.load_checkpoint(f'{url}/evil.pth')
    finally:
        server.shutdown()
        server.server_close()
    assert not trace.exists()


def test_log_history_and_numbers_come_back(tmp_path):
    """All that a mmengine checkpoint holds beside tensors."""
    history = HistoryBuffer([1.0, 2.0, 4.0], [1, 1, 1])
    saved = dict(history=history, score=np.float64(0.25), count=np.int64(3), flag=np.bool_(True),
                 name=np.array(['a', 'bc']), half=np.arange(3, dtype=np.float16),
                 ids=np.arange(4, dtype=np.int32), classes=('a', 'b'))
    torch.save(saved, tmp_path / 'x.pth')
    found = read_checkpoint(tmp_path / 'x.pth')
    assert found['history'].mean() == pytest.approx(7 / 3)
    assert found['history'].statistics('max') == 4.0
    assert found['score'] == 0.25 and found['count'] == 3 and found['flag']
    assert found['name'].tolist() == ['a', 'bc'] and found['ids'].dtype == np.int32
    assert found['half'].tolist() == [0, 1, 2] and found['classes'] == ('a', 'b')


@pytest.mark.parametrize('other', [(b'numpy._core.multiarray', b'numpy.core.multiarray'),
                                   (b'numpy.core.multiarray', b'numpy._core.multiarray')])
def test_files_of_the_other_numpy(tmp_path, other):
    """numpy 1 and numpy 2 write different names for the same functions."""
    torch.save(dict(array=np.arange(3.0), one=np.float64(2)), tmp_path / 'x.pth',
               _use_new_zipfile_serialization=False)
    data = (tmp_path / 'x.pth').read_bytes()
    (tmp_path / 'y.pth').write_bytes(data.replace(*other))
    found = read_checkpoint(tmp_path / 'y.pth')
    assert found['array'].tolist() == [0, 1, 2] and found['one'] == 2


def test_arrays_of_objects_are_refused(tmp_path):
    torch.save(dict(array=np.array([HistoryBuffer, None], dtype=object)), tmp_path / 'x.pth')
    with pytest.raises(UserError, match='refused'):
        read_checkpoint(tmp_path / 'x.pth')


def test_text_that_mmengine_would_run_is_dropped(tmp_path):
    """Resuming, mmengine runs ``meta['config']`` as Python."""
    torch.save(dict(meta=dict(config='import os', epoch=1), state_dict={}), tmp_path / 'x.pth')
    assert read_checkpoint(tmp_path / 'x.pth')['meta'] == dict(epoch=1)


def test_damaged_files(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict=dict(weight=torch.ones(1000))), path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r'x\.pth'):
        read_checkpoint(path)
    path.write_bytes(b'')
    with pytest.raises(UserError, match=r'x\.pth'):
        read_checkpoint(path)
    path.write_text('<html>not found</html>')
    with pytest.raises(UserError, match=r'x\.pth'):
        read_checkpoint(path)
    with pytest.raises(UserError, match='no such checkpoint'):
        read_checkpoint(tmp_path / 'gone.pth')
    torch.save(torch.ones(2), path)
    with pytest.raises(UserError, match='holds a Tensor'):
        read_checkpoint(path)


@pytest.mark.parametrize('change, said', [
    (lambda b: b[:len(b) // 2], r'it has \d+ bytes, whose end is missing or damaged; download or'),
    (lambda b: b[:10], 'it has 10 bytes, whose end is missing'),
    (lambda b: b[5000:], 'its beginning is missing; download or copy it again'),
    (lambda b: b[:5000] + b[9000:], r'it has \d+ bytes, and more were saved; '),
    (lambda b: b[:9000] + bytes(4) + b[9004:], r'x/data/1 in it is damaged; download or copy it')],
    ids=('half', 'ten bytes', 'no beginning', 'hole', 'other bytes'))
def test_what_is_wrong_with_a_damaged_file(tmp_path, change, said):
    """torch reads the last of them: into other weights."""
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict={name: torch.rand(2000) for name in 'ab'}), path)
    read_checkpoint(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=rf'x\.pth is not a complete checkpoint: {said}'):
        read_checkpoint(path)
    with pytest.raises(UserError, match=r'x\.pth is not a complete checkpoint: '):
        read_published(path)


def test_a_file_without_checksums(tmp_path):
    path = tmp_path / 'x.pth'
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(dict(state_dict=dict(a=torch.ones(3))), path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(path)['state_dict']['a'].tolist() == [1, 1, 1]


def test_another_archive(tmp_path):
    path = tmp_path / 'x.pth'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a.txt', 'text')
    with pytest.raises(UserError, match=r'its content is not what torch\.save writes'):
        read_checkpoint(path)


def test_no_way_round_in_mmengine(tmp_path, secured):
    """Other sources than files and addresses (openmmlab://, s3://) come here."""
    trace, path = tmp_path / 'trace', tmp_path / 'x.pth'
    torch.save(dict(state_dict={}, meta=Runs(trace)), path)
    loads = [module.torch.load, lambda p: module.torch.load(p, weights_only=False)]
    if hasattr(module, '_safe_torch_load'):  # of the fork
        loads.append(module._safe_torch_load)
    for load in loads:
        with pytest.raises(pickle.UnpicklingError):
            load(str(path))
    assert not trace.exists()
    assert module.torch.Tensor is torch.Tensor
    # and what is allowed stays allowed
    torch.save(dict(history=HistoryBuffer([3.0], [1])), path)
    assert read_checkpoint(path)['history'].mean() == 3


@pytest.mark.parametrize('filename, backend', [('a.pth', 'local'),
                                               ('published://a.pth', 'published')])
def test_the_log_says_how_it_was_read(filename, backend, monkeypatch, tmp_path, secured):
    said = []
    monkeypatch.chdir(tmp_path)
    torch.save({'conv1.weight': torch.zeros(1)}, 'a.pth')
    monkeypatch.setattr(module, 'print_log', lambda text, **kwargs: said.append(text))
    CheckpointLoader.load_checkpoint(filename, 'cpu')
    assert said == [f'Loads checkpoint by {backend} backend from path: {filename}']


@pytest.mark.parametrize('content, said', [
    (b'hello world\n' * 10, 'is a text, not a checkpoint'),
    (pickle.dumps(Runs('x'), protocol=4), 'torch.save did not write it')])
def test_files_of_other_programs(tmp_path, recwarn, content, said):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_checkpoint(path)
    assert not len(recwarn)


def test_an_address_where_nothing_is(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UserError, match='cannot be downloaded'):
        read_checkpoint('http://127.0.0.1:9/x.pth')
