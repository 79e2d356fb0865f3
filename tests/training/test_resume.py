"""Whole files, and which checkpoint a run goes on from."""
import os

import pytest
import torch

from mmdet_lordre.errors import UserError
from mmdet_lordre.files import atomic_write
from mmdet_lordre.training.resume import checkpoints_of, name_last_checkpoint, read_resumable


def save(path, number, **more):
    torch.save(dict(state_dict={}, optimizer={}, message_hub={},
                    meta=dict(epoch=0, iter=number)) | more, path)
    os.utime(path, (1000 + number, 1000 + number))
    return str(path)


@pytest.fixture
def run(tmp_path):
    """A folder with checkpoints of iterations 2, 4 and 10, of which 10 is the last."""
    paths = {n: save(tmp_path / f'iter_{n}.pth', n) for n in (2, 4, 10)}
    name_last_checkpoint(str(tmp_path), paths[10])
    return tmp_path, paths


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'file'
    path.write_text('before')
    with pytest.raises(OSError, match='full'), atomic_write(str(path)) as name:
        with open(name, 'w') as file:
            file.write('half')
        raise OSError('disk full')
    assert path.read_text() == 'before' and os.listdir(tmp_path) == ['file']
    with atomic_write(str(path)) as name, open(name, 'w') as file:
        file.write('after')
    assert path.read_text() == 'after' and os.listdir(tmp_path) == ['file']


def test_the_last_comes_first(run):
    folder, paths = run
    assert checkpoints_of(str(folder)) == [paths[10], paths[4], paths[2]]
    # younger files than the one that was noted (of another run) are no fallback for it
    name_last_checkpoint(str(folder), paths[4])
    assert checkpoints_of(str(folder)) == [paths[4], paths[2]]


def test_without_a_readable_note(run):
    folder, paths = run
    for text in (b'', b'\xff\xfe', b'/gone/elsewhere/iter_9.pth'):
        (folder / 'last_checkpoint').write_bytes(text)
        assert checkpoints_of(str(folder))[0] == paths[10]
    # a folder that was moved
    (folder / 'last_checkpoint').write_text('/gone/iter_4.pth')
    assert checkpoints_of(str(folder)) == [paths[4], paths[2]]
    assert checkpoints_of(str(folder / 'nowhere')) == []


def test_a_copied_folder_goes_on_with_its_own(run, tmp_path):
    """Also where the path that it notes leads to another run of the same name."""
    folder, paths = run
    other = tmp_path / 'other' / 'iter_4.pth'
    other.parent.mkdir()
    save(other, 4)
    (folder / 'last_checkpoint').write_text(str(other))
    assert checkpoints_of(str(folder)) == [paths[4], paths[2]]
    (folder / 'iter_4.pth').unlink()  # as where checkpoints are written elsewhere
    assert checkpoints_of(str(folder))[0] == str(other)


def test_times_of_files_say_nothing(run):
    """As after a copy without times: the earliest checkpoint is the youngest file."""
    folder, paths = run
    (folder / 'last_checkpoint').unlink()
    for number, path in paths.items():
        os.utime(path, (2000 - number, 2000 - number))
    assert checkpoints_of(str(folder)) == [paths[10], paths[4], paths[2]]
    name_last_checkpoint(str(folder), paths[4])
    assert checkpoints_of(str(folder)) == [paths[4], paths[2]]


def test_epochs_and_iterations_beside_each_other(tmp_path):
    """A training in epochs of 3 iterations, stopped in the middle of its third."""
    paths = [save(tmp_path / name, number) for name, number in
             (('epoch_1.pth', 3), ('epoch_2.pth', 6), ('iter_7.pth', 7), ('iter_5.pth', 5))]
    expected = [paths[2], paths[1], paths[3], paths[0]]
    assert checkpoints_of(str(tmp_path)) == expected
    os.truncate(paths[1], 20)  # named among the first, to be said and passed over
    assert checkpoints_of(str(tmp_path)) == [paths[1], paths[2], paths[3], paths[0]]


@pytest.mark.parametrize('spoil', [
    lambda path: os.truncate(path, os.path.getsize(path) - 20),
    lambda path: os.truncate(path, 0),
    lambda path: torch.save(dict(meta=dict(epoch=0, iter=10), state_dict={}), path)])
def test_damaged_ones_are_passed_over(run, spoil):
    folder, paths = run
    spoil(paths[10])
    os.utime(paths[10], (1010, 1010))
    said = []
    path, checkpoint = read_resumable(str(folder), said.append)
    assert path == paths[4] and checkpoint['meta']['iter'] == 4
    assert len(said) == 1 and paths[10] in said[0] and 'the one before' in said[0]


def test_nothing_left(run):
    folder, paths = run
    for path in paths.values():
        os.truncate(path, 10)
    with pytest.raises(UserError, match='none of the 3 checkpoints'):
        read_resumable(str(folder), lambda line: None)
    assert read_resumable(str(folder / 'nowhere'), print) is None
