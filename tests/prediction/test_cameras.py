"""Cameras: the newest frame, dropped ones counted, an end that leaves everything whole."""
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_lordre.errors import UserError
from mmdet_lordre.prediction import cameras
from mmdet_lordre.prediction.cameras import Camera, camera_name, camera_of, without_password
from mmdet_lordre.prediction.pictures import Picture
from mmdet_lordre.prediction.run import predict_files
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.stream import Stream

from .conftest import PerfectModel

pytest.importorskip('av')
from .films import moving_scene, read_film


class Webcam:
    """A camera as OpenCV gives it: a frame every few milliseconds, ``count`` of them."""

    count, pause = 60, 0.005

    def __init__(self, number):
        self.number, self.frame = number, 0

    def isOpened(self):
        return self.number == 0

    def get(self, what):
        return 200.0 if what == cv2.CAP_PROP_FPS else 0.0

    def read(self):
        time.sleep(self.pause)
        self.frame += 1
        if self.frame > self.count:
            return False, None
        return True, moving_scene(self.frame % 24)

    def release(self):
        self.frame = self.count


@pytest.fixture
def webcam(monkeypatch):
    kind = type('Webcam', (Webcam, ), {})
    monkeypatch.setattr(cv2, 'VideoCapture', kind)
    return kind


class Slow(PerfectModel):
    """Four times as slow as the camera."""

    def test_step(self, data):
        time.sleep(0.02)
        return super().test_step(data)


def test_frames_are_dropped_and_counted(webcam, tmp_path, capsys):
    source = open_source(0)
    assert source.live and len(source) == 0 and source.said == 'camera 0'
    summary = predict_files(Slow(), source, tmp_path / 'out', ['coco', 'film'],
                            Settings(track=True))
    frames = [p.split('/')[-1] for p in _names(tmp_path / 'out')]
    assert 1 <= summary.pictures == len(frames) < 55 and not summary.stopped
    # numbers are the camera's: gaps show what was dropped
    assert summary.pictures + source.films[0].dropped == 60
    said = capsys.readouterr().out
    assert f'camera 0: {source.films[0].dropped} frames dropped' in said
    assert 'camera 0 ended: it gives no more frames' in said
    drawn, times, _ = read_film(tmp_path / 'out' / 'films' / 'camera_0.mp4')
    assert len(drawn) == summary.pictures and times == sorted(set(times))


def _names(folder):
    import json
    return [json.loads(line)['name'] for line in
            (folder / 'progress' / '1-of-1.jsonl').read_text().splitlines()]


def test_the_newest_frame_is_taken(webcam):
    """While somebody is busy for 20 frames none of them waits in a queue."""
    shots = Camera(0, 'a').shots()
    first = next(shots)
    time.sleep(0.15)
    second, third = next(shots), next(shots)
    assert second.number > first.number + 5 and third.number > second.number
    shots.close()
    assert not [t for t in threading.enumerate() if t.name == 'camera a' and t.is_alive()]


def test_the_network_gets_no_old_frames():
    """A stream takes a frame of a camera only when the network is free."""
    taken = []

    class Live:
        live = True

        def __iter__(self):
            for number in range(9):
                taken.append(number)
                yield Picture(f'{number}', number, pixels=moving_scene(number))

    for done, _ in enumerate(Stream(PerfectModel(), Settings(workers=4, batch=4)).run(Live())):
        assert len(taken) == done + 1
    assert len(taken) == 9


def test_ctrl_c(webcam, tmp_path):
    webcam.count = 100_000

    class Ends(PerfectModel):
        def test_step(self, data):
            if len(self.calls) == 8:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().test_step(data)
    summary = predict_files(Ends(), open_source('0'), tmp_path / 'out', ['film', 'coco'])
    assert summary.stopped and summary.joined
    frames, _, _ = read_film(tmp_path / 'out' / 'films' / 'camera_0.mp4')
    assert len(frames) == summary.pictures >= 8
    assert (tmp_path / 'out' / 'results.json').exists()


def test_no_camera(webcam, tmp_path):
    with pytest.raises(UserError, match='there is no camera 7'):
        predict_files(PerfectModel(), open_source('7'), tmp_path / 'out')
    webcam.count = 0
    with pytest.raises(UserError, match='camera 0: it gives no more frames'):
        predict_files(PerfectModel(), open_source('0'), tmp_path / 'out2')
    with pytest.raises(UserError, match='a source of its own'):
        open_source(['0', np.zeros((4, 4, 3), np.uint8)])


def test_a_camera_that_falls_silent(webcam, monkeypatch):
    webcam.pause = 0.5
    monkeypatch.setattr(cameras, '_SILENCE', 0.1)
    camera = Camera(0, 'a')
    with pytest.raises(UserError, match=r'camera 0: no frame came for 0\.1 s'):
        next(camera.shots())


def test_what_names_a_camera(tmp_path, monkeypatch):
    assert [camera_of(one) for one in ('0', 'camera:3', 2, 'rtsp://host/a', True, '0.png', 'x')] \
        == [0, 3, 2, 'rtsp://host/a', None, None, None]
    address = 'rtsp://me:secret@cam.example:554/live?key=x'
    assert without_password(address) == 'rtsp://***@cam.example:554/live'
    assert 'secret' not in open_source(address).said
    assert camera_name(address) == 'cam.example'
    # a file of that name comes first
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('7.png', moving_scene(0))
    os.rename('7.png', '7')
    assert not open_source('7').moving


#: A camera that sends by itself, as soon as somebody listens.
_SENDER = '''
import socket, sys, time
import av
from tests.prediction.films import moving_scene
for _ in range(300):
    try:
        line = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
        break
    except OSError:
        time.sleep(0.1)
with av.open(line.makefile('wb'), 'w', format='mpegts') as out:
    stream = out.add_stream('mpeg2video', rate=25)
    stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 64, 96, 'yuv420p', 10**7
    for number in range(40):
        frame = av.VideoFrame.from_ndarray(moving_scene(number % 24), format='bgr24')
        frame.pts = number
        out.mux(stream.encode(frame.reformat(format='yuv420p')))
        time.sleep(0.01)
    out.mux(stream.encode(None))
'''


def test_a_stream_over_the_network(tmp_path):
    """A live stream as a network camera sends it, by TCP on this machine."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    address = f'tcp://127.0.0.1:{port}?listen=1'

    sender = subprocess.Popen([sys.executable, '-c', _SENDER, port],
                              cwd=Path(__file__).parents[2])
    source = open_source(address)
    model = PerfectModel()
    model.sample = lambda image: _first_pixel(image, PerfectModel.sample, model)
    try:
        summary = predict_files(model, source, tmp_path / 'out', ['coco'])
        sender.wait(20)
    finally:
        sender.kill()
    assert source.live and summary.pictures >= 1
    assert summary.pictures + source.films[0].dropped <= 40
    with pytest.raises(UserError, match=f'tcp://127.0.0.1:{port} cannot be opened'):
        predict_files(model, open_source(f'tcp://127.0.0.1:{port}'), tmp_path / 'none', ['coco'])


def _first_pixel(image, sample, model):
    clean = np.zeros_like(image)
    clean[:5, :5] = (1, 20, 0)
    return sample(model, clean)
