"""Runs that are stopped, shared, refused; what a full disk leaves."""
import errno
import json
import os
import shutil
import signal
from pathlib import Path

import cv2
import pytest

from mmdet_lordre.cli.main import explain
from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction.run import Summary, predict_files
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.writers import WRITERS, base, yolo

from .conftest import PerfectModel
from .scenes import blobs

SAVE = ['coco', 'coco-annotations', 'yolo', 'png', 'csv']


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp('source')
    for number in range(12):
        cv2.imwrite(str(folder / f'{number:02d}.png'), blobs(40, 60, number))
    (folder / '05.png').write_bytes(b'broken')
    return folder


def run(source, out, model=None, **kwargs):
    return predict_files(model or PerfectModel(), open_source(source), out, SAVE, **kwargs)


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*')
            if path.is_file() and 'progress' not in path.parts and path.name != 'run.json'}


def test_names_of_folders_stay_in_one_line():
    line = str(Summary(Path('a\nb'), 0, 0, 0, 0, 0.0, True))
    assert line == '0 objects in 0 pictures: a\\nb'


@pytest.fixture(scope='module')
def whole(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp('whole') / 'out'
    summary = run(source, folder)
    assert (summary.pictures, summary.left_out) == (11, 1)
    assert str(summary).startswith('55 objects in 11 pictures (') and '1 left out' in str(summary)
    return files_of(folder)


class Killed(BaseException):
    pass


class StopsAt(PerfectModel):

    def __init__(self, calls):
        super().__init__()
        self.left = calls

    def test_step(self, data):
        self.left -= 1
        if self.left < 0:
            raise Killed
        return super().test_step(data)


@pytest.mark.parametrize('calls', [0, 4, 11])
def test_a_stopped_run_goes_on(source, whole, tmp_path, calls):
    out = tmp_path / 'out'
    if calls < 11:
        with pytest.raises(Killed):
            run(source, out, StopsAt(calls))
    else:
        run(source, out)
        (out / 'results.json').unlink()
    journal = out / 'progress' / '1-of-1.jsonl'
    done = journal.read_bytes().count(b'\n')
    with journal.open('ab') as file:
        file.write(b'{"name": "cut of')  # what a kill leaves of a line
    (out / 'yolo').mkdir(exist_ok=True)
    summary = run(source, out, resume=True)
    assert files_of(out) == whole
    assert summary.before == done
    assert summary.pictures + summary.left_out == 12 - done


class DiesAt(StopsAt):
    """Killed by SIGKILL: nothing is closed, nothing is flushed."""

    def test_step(self, data):
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return PerfectModel.test_step(self, data)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='a process of its own that needs no imports')
def test_a_killed_process_is_gone_on_with(source, whole, tmp_path):
    out = tmp_path / 'out'
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            run(source, out, DiesAt(7), quiet=True)
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    done = (out / 'progress' / '1-of-1.jsonl').read_bytes().count(b'\n')
    assert done < 12 and not (out / 'results.json').exists()
    summary = run(source, out, resume=True)
    assert summary.before == done and files_of(out) == whole


def test_shares(source, whole, tmp_path):
    out = tmp_path / 'out'
    joined = [run(source, out, share=(number, 3)).joined for number in (2, 3)]
    assert joined == [False, False] and not (out / 'results.json').exists()
    with pytest.raises(UserError, match='shares was 3 and is now 2'):
        run(source, out, share=(1, 2))
    assert run(source, out, share=(1, 3)).joined
    assert files_of(out) == whole


def test_what_is_there_is_not_written_over(source, tmp_path):
    other = tmp_path / 'other'
    other.mkdir()
    (other / 'thesis.txt').write_text('mine')
    with pytest.raises(UserError, match='not empty'):
        run(source, other)
    with pytest.raises(UserError, match='file of that name'):
        run(source, other / 'thesis.txt')
    assert [p.name for p in other.iterdir()] == ['thesis.txt']
    out = tmp_path / 'out'
    run(source, out)
    with pytest.raises(UserError, match='--resume'):
        run(source, out)
    with pytest.raises(UserError, match=r"another run: score_thr was 0\.3 and is now 0\.5"):
        run(source, out, settings=Settings(score_thr=0.5), resume=True)
    run(source, out, settings=Settings(batch=3), resume=True)


def test_strict_and_nothing_readable(source, tmp_path):
    with pytest.raises(UserError, match=r'05\.png: it cannot be decoded'):
        run(source, tmp_path / 'strict', strict=True)
    with pytest.raises(UserError, match=r'none of the 1 picture could be .*05\.png: it cannot'):
        run(source / '05.png', tmp_path / 'none')


def test_a_full_disk(source, whole, tmp_path, monkeypatch):
    out = tmp_path / 'out'
    written = []

    def full(path, data):
        written.append(path)
        if len(written) > 5:
            raise OSError(errno.ENOSPC, 'No space left on device', str(path))
        base.write_whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(yolo, 'write_whole', full)
        with pytest.raises(OSError) as ended:
            run(source, out)
    assert explain(ended.value).startswith('the disk is full: ')
    assert not list(out.rglob('*.tmp'))
    for path in out.rglob('labels/*.txt'):
        assert path.read_bytes() == whole[str(path.relative_to(out))]
    run(source, out, resume=True)
    assert files_of(out) == whole


def test_a_damaged_journal_is_named(source, tmp_path):
    out = tmp_path / 'out'
    run(source, out)
    journal = out / 'progress' / '1-of-1.jsonl'
    lines = journal.read_text().splitlines()
    journal.write_text('\n'.join([*lines[:3], '{"nam', *lines[4:]]) + '\n')
    with pytest.raises(UserError, match=r'1-of-1\.jsonl is damaged at byte'):
        run(source, out, resume=True)


def test_one_process_a_share(source, tmp_path):
    out = tmp_path / 'out'
    run(source, out)
    shutil.rmtree(out / 'progress')
    (out / 'run.json').write_text(json.dumps(dict(other=1)))
    with pytest.raises(UserError, match='another run'):
        run(source, out, resume=True)


def test_one_that_cannot_be_closed_leaves_no_other_open(source, tmp_path, monkeypatch):
    closed = []

    def full(self):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(WRITERS['coco'], 'close', full)
    monkeypatch.setattr(WRITERS['csv'], 'close', lambda self: closed.append(self.name))
    with pytest.raises(OSError, match='No space left'):
        run(source, tmp_path / 'out')
    assert closed == ['csv']
