"""Files that are too large, or grow, or bring code, are refused by name."""
import errno
import os
import zipfile

import pytest
import torch

from mmdet_lordre import files as limits
from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.datasets.coco_file import read_annotations
from mmdet_lordre.errors import UserError
from mmdet_lordre.files import atomic_write


def test_large_files(tmp_path, monkeypatch):
    path = tmp_path / 'a.json'
    with open(path, 'wb') as file:  # takes no space
        file.truncate(5 * 2**30)
    with pytest.raises(UserError, match=r'a\.json has 5\.0 GiB, more than the 4 GiB'):
        read_annotations(path)
    with open(tmp_path / 'a.pth', 'wb') as file:
        file.truncate(17 * 2**30)
    with pytest.raises(UserError, match=r'a\.pth has 17\.0 GiB'):
        read_checkpoint(tmp_path / 'a.pth')
    monkeypatch.setenv(limits.NO_LIMITS, '1')
    limits.refuse_large(str(path), 1)


def test_what_cannot_be_written_is_said_before(tmp_path, monkeypatch):
    limits.demand_writable([tmp_path / 'deep' / 'er' / 'r.pkl'])
    assert not list((tmp_path / 'deep' / 'er').iterdir())
    (tmp_path / 'file').write_text('mine')
    with pytest.raises(UserError, match=r'file/r\.pkl cannot be written: .*; choose another place'):
        limits.demand_writable([tmp_path / 'r.pkl', tmp_path / 'file' / 'r.pkl'])

    def full(dir):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(limits.tempfile, 'TemporaryFile', full)
    with pytest.raises(UserError, match=r'r\.pkl cannot be written: No space left on device'):
        limits.demand_writable([tmp_path / 'r.pkl'])


def test_archives_that_grow(tmp_path):
    path, packed = tmp_path / 'a.pth', tmp_path / 'packed.pth'
    torch.save(dict(state_dict=dict(w=torch.zeros(2**20))), path)
    with zipfile.ZipFile(path) as source, \
            zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert read_checkpoint(path)['state_dict']['w'].shape == (2**20,)
    with pytest.raises(UserError, match=r'packed\.pth refused: .* compressed archive of 4\.0 M'):
        read_checkpoint(packed)


def test_yaml_brings_no_objects(tmp_path):
    trace, path = tmp_path / 'trace', tmp_path / 'c.yaml'
    path.write_text(f'model: !!python/object/apply:os.system ["touch {trace}"]\n')
    with pytest.raises(UserError, match=r'c\.yaml refused: .*os\.system.* not data'):
        load_config(str(path))
    assert not trace.exists()
    path.write_text('model: [\n')
    with pytest.raises(UserError, match='is not YAML'):
        load_config(str(path))
    path.write_text('{model: {type: elsewhere.Lordre}, mine: {sizes: [1, 2]}}\n')
    assert load_config(str(path)).mine == dict(sizes=[1, 2])


def test_a_full_disk_says_which_file_was_written(tmp_path):
    path = tmp_path / 'new.json'
    with pytest.raises(OSError) as found, atomic_write(path):
        raise OSError(errno.ENOSPC, 'No space left on device')
    assert found.value.filename == str(path) and not any(tmp_path.iterdir())
