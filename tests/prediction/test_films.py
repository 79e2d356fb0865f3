"""Films are read with their times and upright, and written with their times and sound."""
import json
import os
import signal
import sys

import cv2
import numpy as np
import pytest

from mmdet_lordre.cli.predict import main as predict
from mmdet_lordre.datasets.formats import open_data
from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction.films import Film, is_film
from mmdet_lordre.prediction.run import predict_files
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.writers.film import fitted

from .conftest import PerfectModel

pytest.importorskip('av')
from .films import moving_scene, read_film, write_film

UNEVEN = [0, 40, 120, 130, 500, 1000, 1040, 3000, 3001, 3100]


@pytest.fixture(scope='module')
def films(tmp_path_factory):
    """a.mkv: 24 frames with sound; uneven.mkv: ten; turned.mp4."""
    folder = tmp_path_factory.mktemp('films')
    images = [moving_scene(frame, gap=(8, 9, 10)) for frame in range(24)]
    write_film(folder / 'a.mkv', images, sound='aac')
    write_film(folder / 'uneven.mkv', images[:10], times=UNEVEN)
    large = [cv2.resize(image, None, fx=3, fy=3) for image in images[:3]]
    write_film(folder / 'turned.mp4', large, turn=True, codec='libx264')
    return folder


def run(source, out, save=('coco', 'film'), **settings):
    return predict_files(PerfectModel(), open_source(source), out, save, Settings(**settings))


def test_frames(films):
    source = open_source(films / 'a.mkv')
    pictures = list(source)
    assert len(pictures) == 24 and abs(len(source) - 24) <= 1 and not source.live
    assert [p.name for p in pictures][:2] == ['a/000001', 'a/000002']
    for number, picture in enumerate(pictures):
        assert np.array_equal(picture.pixels, moving_scene(number, gap=(8, 9, 10)))
        assert picture.frame == number + 1 and picture.time == pytest.approx(number / 10)
    some = source.every(5)
    assert [p.frame for p in some] == [1, 6, 11, 16, 21] and len(some) == 5


def test_uneven_times(films, tmp_path):
    found = [p.time for p in open_source(films / 'uneven.mkv')]
    assert found == pytest.approx([time / 1000 for time in UNEVEN])
    run(films / 'uneven.mkv', tmp_path / 'out')
    _, times, _ = read_film(tmp_path / 'out' / 'films' / 'uneven.mp4')
    assert times == pytest.approx(found, abs=1e-3)


def test_a_turned_film_is_upright(films):
    """A quarter to the left: what was at the top right is at the top left."""
    picture = next(iter(open_source(films / 'turned.mp4')))
    assert picture.pixels.shape == (288, 192, 3)
    bright = picture.pixels.astype(int).sum(axis=2) > 10
    rows, columns = np.nonzero(bright)
    image = np.rot90(cv2.resize(moving_scene(0), None, fx=3, fy=3))
    expected = np.nonzero(image.astype(int).sum(axis=2) > 10)
    assert [rows.min(), columns.min()] == pytest.approx([e.min() for e in expected], abs=3)


@pytest.mark.parametrize('sound, ending', [('aac', 'mp4'), ('pcm_s16le', 'mkv')])
def test_sound_is_copied(films, tmp_path, sound, ending):
    images = [moving_scene(frame) for frame in range(12)]
    path = write_film(tmp_path / 'b.mkv', images, sound=sound)
    run(path, tmp_path / 'out')
    frames, times, heard = read_film(tmp_path / 'out' / 'films' / f'b.{ending}')
    _, _, before = read_film(path)
    assert len(frames) == 12 and times == pytest.approx([n / 10 for n in range(12)])
    assert [data for _, data in heard] == [data for _, data in before]
    assert [t for t, _ in heard] == pytest.approx([t for t, _ in before], abs=2e-3)
    assert not list((tmp_path / 'out').rglob('*.tmp'))


def test_frames_are_drawn_in_their_colors(films, tmp_path):
    """A red picture stays red; objects are drawn over it."""
    image = np.zeros((360, 480, 3), np.uint8)
    image[:] = (40, 30, 200)
    path = write_film(tmp_path / 'red.mkv', [image] * 2)
    model = PerfectModel()
    model.sample = lambda image, sample=model.sample: _nothing(sample(image))
    predict_files(model, open_source(path), tmp_path / 'out', ['film'])
    frames, _, _ = read_film(tmp_path / 'out' / 'films' / 'red.mp4')
    assert np.abs(frames[0].astype(int) - image).mean() < 6
    run(films / 'a.mkv', tmp_path / 'drawn', track=True)
    frames, _, _ = read_film(tmp_path / 'drawn' / 'films' / 'a.mp4')
    assert frames[0].shape == (384, 576, 3)
    first, last = frames[0][90, 60].astype(int), frames[20][90, 60 + 6 * 60].astype(int)
    assert first.max() > 60 and np.abs(first - last).max() < 12  # one color an identity


def _nothing(sample):
    sample.pred_instances = sample.pred_instances[:0]
    return sample


def test_every_nth_frame(films, tmp_path):
    summary = run(films / 'a.mkv', tmp_path / 'out', ['coco', 'film'], every=6)
    assert summary.pictures == 4 and str(summary).startswith('8 objects in 4 frames (')
    _, times, heard = read_film(tmp_path / 'out' / 'films' / 'a.mp4')
    assert times == pytest.approx([0, 0.6, 1.2, 1.8]) and heard
    with pytest.raises(UserError, match='every: 2 is for films'):
        run(np.zeros((4, 4, 3), np.uint8), tmp_path / 'none', every=2)


def test_few_frames_are_ahead(films, monkeypatch):
    """However long a film is, a few of its frames are decoded before they are needed."""
    taken, shots = [], Film.shots

    def counted(self, step=1):
        for shot in shots(self, step):
            taken.append(shot.number)
            yield shot
    monkeypatch.setattr(Film, 'shots', counted)
    for done, _ in enumerate(open_source(films / 'a.mkv')):
        assert len(taken) <= done + 6
    assert len(taken) == 24


def test_frames_of_other_sizes_are_fitted():
    """An odd side gets a row or column like its last one; what is wider is put into the middle."""
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    even = fitted(image, (6, 8))
    assert np.array_equal(even[:5, :7], image) and np.array_equal(even[5, :7], image[4])
    assert np.array_equal(even[:5, 7], image[:, 6]) and fitted(image, (5, 7)) is image
    wide = fitted(np.full((10, 40, 3), 9, np.uint8), (40, 40))
    assert not wide[:15].any() and (wide[16:24] == 9).all() and not wide[25:].any()


def test_several_films_and_their_files(films, tmp_path):
    write_film(tmp_path / 'short.mkv', [moving_scene(frame) for frame in range(10)])
    summary = run([films / 'a.mkv', tmp_path / 'short.mkv'], tmp_path / 'out',
                  ['coco-annotations', 'frames', 'labelme', 'film', 'mots'], track=True)
    assert summary.pictures == 34 and summary.tracks == 4
    assert {p.name for p in (tmp_path / 'out' / 'films').iterdir()} == {'a.mp4', 'short.mp4'}
    found = next(iter(open_data(str(tmp_path / 'out' / 'annotations.json'),
                                str(tmp_path / 'out' / 'frames')).values())).data
    assert len(found['images']) == 34
    content = json.loads((tmp_path / 'out' / 'annotations.json').read_text())
    assert [video['name'] for video in content['videos']] == ['a', 'short']
    assert content['images'][-1]['frame_id'] == 9 and content['images'][-1]['video_id'] == 2
    labelme = tmp_path / 'out' / 'labelme' / 'a' / '000003.json'
    shapes = json.loads(labelme.read_text())
    assert (labelme.parent / shapes['imagePath']).resolve() == (
        tmp_path / 'out' / 'frames' / 'a' / '000003.jpg').resolve()
    assert [shape['group_id'] for shape in shapes['shapes']] == [1, 2]


def test_a_film_that_is_cut_off(films, tmp_path, capsys):
    data = (films / 'a.mkv').read_bytes()
    (tmp_path / 'half.mkv').write_bytes(data[:len(data) // 2])
    summary = run(tmp_path / 'half.mkv', tmp_path / 'out')
    assert 0 < summary.pictures < 24
    damaged = bytearray((films / 'turned.mp4').read_bytes())
    place = damaged.find(b'mdat') + 700
    damaged[place:place + 200] = bytes(200)
    (tmp_path / 'damaged.mp4').write_bytes(damaged)
    # FFmpeg hides most damage; what is said must not be a traceback
    run(tmp_path / 'damaged.mp4', tmp_path / 'out2')


@pytest.mark.parametrize('name, data, said', [
    ('empty.mp4', b'', 'the file is empty'), ('text.mp4', b'no film' * 99, 'FFmpeg cannot read'),
    ('list.mkv', b'ffconcat version 1.0\nfile a.mkv\n', 'FFmpeg cannot read|list of other films'),
    ('list.mp4', b'#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n', 'FFmpeg cannot read|list of other'),
])
def test_what_is_no_film(films, tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said):
        open_source(tmp_path / name)


def test_sound_alone_and_no_frames(tmp_path):
    import av
    with av.open(str(tmp_path / 'song.mkv'), 'w') as song:
        voice = song.add_stream('aac', rate=8000)
        voice.layout = 'mono'
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format='s16',
                                           layout='mono')
        frame.rate = 8000
        song.mux(voice.encode(frame))
        song.mux(voice.encode(None))
    with pytest.raises(UserError, match='no moving pictures in it, only sound'):
        open_source(tmp_path / 'song.mkv')


def test_pyav_is_missing(films, monkeypatch):
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(UserError, match=r"need PyAV: pip install 'mmdet_lordre\[video\]'"):
        open_source(films / 'a.mkv')


def test_what_is_a_film(films, tmp_path, capsys):
    path = tmp_path / 'clip.bin'
    path.write_bytes((films / 'a.mkv').read_bytes())
    assert is_film(str(path)) and [p.frame for p in open_source(path)][-1] == 24
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder' / 'b.mkv').write_bytes(path.read_bytes())
    assert open_source(tmp_path / 'folder').moving
    assert open_source(f'{tmp_path}/folder/*.mkv').moving
    cv2.imwrite(str(tmp_path / 'folder' / 'a.png'), moving_scene(0))
    assert len(open_source(tmp_path / 'folder')) == 1
    assert 'left out: 1 film among the pictures' in capsys.readouterr().out
    with pytest.raises(UserError, match='separate runs'):
        open_source([path, tmp_path / 'folder' / 'a.png'])
    with pytest.raises(UserError, match='twice'):
        open_source([path, path])
    assert Film(str(films / 'a.mkv'), 'a').rate == 10


class Stopping(PerfectModel):
    """Ctrl-C after some frames."""

    def test_step(self, data):
        if len(self.calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return super().test_step(data)


def test_ctrl_c_leaves_everything_whole(films, tmp_path, capsys):
    before = signal.getsignal(signal.SIGINT)
    summary = predict_files(Stopping(), open_source(films / 'a.mkv'), tmp_path / 'out',
                            ['coco', 'film', 'mots', 'csv'], Settings(track=True))
    assert summary.stopped and summary.joined and 5 <= summary.pictures < 20
    frames, times, _ = read_film(tmp_path / 'out' / 'films' / 'a.mp4')
    assert len(frames) == summary.pictures and times[:2] == pytest.approx([0, 0.1])
    entries = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert max(entry['image_id'] for entry in entries) == summary.pictures
    assert signal.getsignal(signal.SIGINT) == before
    assert 'again to interrupt' in capsys.readouterr().err


class Failing(PerfectModel):
    def test_step(self, data):
        if len(self.calls) == 9:
            raise RuntimeError('no memory')
        return super().test_step(data)


def test_an_error_leaves_what_was_written_whole(films, tmp_path):
    with pytest.raises(RuntimeError, match='no memory'):
        predict_files(Failing(), open_source(films / 'a.mkv'), tmp_path / 'out', ['film'])
    frames, _, _ = read_film(tmp_path / 'out' / 'films' / 'a.mp4')
    assert 0 < len(frames) < 24
    with pytest.raises(UserError, match='already has results: choose another --out'):
        run(films / 'a.mkv', tmp_path / 'out', ['film'])


def test_the_command(films, work_folder, tmp_path, capsys):
    summary = predict([str(films / 'a.mkv'), '--model', str(work_folder), '--out',
                       f'{tmp_path}/out', '--score-thr', '0.01', '--track', '--track-low', '0.01',
                       '--track-confirm', '1', '--every', '8', '--count-line', '48,0,48,64'])
    assert summary.pictures == 3 and not summary.stopped
    assert {p.name for p in (tmp_path / 'out').iterdir()} == {
        'counts.csv', 'counts.json', 'films', 'images.json', 'progress', 'results.json', 'run.json'}
    assert 'frames/s' in capsys.readouterr().out
    for options, said in ((['--resume'], '--resume is for pictures only'),
                          (['--shard', '1/2'], '--shard and --launcher are for pictures'),
                          (['--track-lost', '3'], '--track-lost needs --track'),
                          (['--count-line', '1,2,3,4'], '--count-line needs --track'),
                          (['--every', '0'], 'every: 0')):
        with pytest.raises(UserError, match=said):
            predict([str(films / 'a.mkv'), '--model', str(work_folder), '--out',
                     f'{tmp_path}/other', *options])
    cv2.imwrite(f'{tmp_path}/a.png', moving_scene(0))
    with pytest.raises(UserError, match=r'^track is for films'):
        predict([f'{tmp_path}/a.png', '--model', str(work_folder), '--out', f'{tmp_path}/other',
                 '--track'])
    with pytest.raises(UserError, match='--save film is for films'):
        predict([f'{tmp_path}/a.png', '--model', str(work_folder), '--out', f'{tmp_path}/other',
                 '--save', 'film'])
    assert not (tmp_path / 'other').exists()
