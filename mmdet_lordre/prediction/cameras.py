"""Cameras: the newest frame and no other, whatever the network takes for one."""
import re
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np

from ..errors import UserError
from ..text import printable
from .films import Shot, pyav, reason, upright

#: What addresses of cameras begin with.
SCHEMES = ('rtsp://', 'rtsps://', 'rtmp://', 'rtmps://', 'srt://', 'rtp://', 'udp://', 'tcp://')
#: Seconds without a frame after which a camera has ended.
_SILENCE = 15
#: A function that gives the next frame, BGR or PyAV's, or None at the end; and one that ends it.
_Reader = tuple[Callable[[], Any], Callable[[], None]]


class Camera:
    """A camera of this machine, or one with an address.

    A thread reads it and keeps the newest frame alone: the others are dropped and counted, so that
    neither memory nor delay grows when the network is slower than the camera.

    Args:
        address: Number of a camera of this machine, or an address.
        name: What its results are called.

    Attributes:
        dropped: Frames that nobody had time for.
        rate: Frames a second that a film of it is written for; time stamps are exact.
        ended: Why there are no more frames, where the camera ended by itself.
    """

    live, path, aspect, broken, count = True, None, None, 0, 0
    rate, time_base = Fraction(25), Fraction(1, 1000)

    def __init__(self, address: int | str, name: str):
        self.address, self.name, self.dropped, self.ended = address, name, 0, None
        self._newest: tuple[int, float, Any] | None = None
        self._news = threading.Condition()
        self._stop = threading.Event()
        if isinstance(address, str):
            pyav()  # what is missing is said before the model is loaded

    def __str__(self) -> str:
        return f'camera {self.address}' if isinstance(self.address, int) else \
            without_password(self.address)

    def shots(self, step: int = 1) -> Iterator[Shot]:
        """The newest frame each time; with ``step``, of every ``step``-th one.

        Raises:
            UserError: There is no such camera, or it gives no frame at all.
        """
        read, close = self._local() if isinstance(self.address, int) else self._remote()
        self._stop.clear()
        thread = threading.Thread(target=self._watch, args=(read, close, step), daemon=True,
                                  name=f'camera {self.name}')
        thread.start()
        given = 0
        try:
            while (shot := self._next()) is not None:
                given += 1
                yield shot
        finally:
            self._stop.set()
            thread.join(5)
        if not given and self.ended:
            raise UserError(f'{self}: {self.ended}')

    def stop(self) -> None:
        """End :meth:`shots`."""
        self._stop.set()
        with self._news:
            self._news.notify_all()

    def _next(self) -> Shot | None:
        with self._news:
            silent = not self._news.wait_for(
                lambda: self._newest is not None or self._stop.is_set(), _SILENCE)
            if silent:
                self.ended = f'no frame came for {_SILENCE} s'
            newest, self._newest = self._newest, None
        if newest is None or (self._stop.is_set() and self.ended is None):
            return None
        number, seconds, frame = newest
        return Shot(number, seconds, frame if isinstance(frame, np.ndarray) else upright(frame))

    def _watch(self, read, close, step):
        number, started = 0, None
        try:
            while not self._stop.is_set():
                frame = read()
                if frame is None:
                    self.ended = 'it gives no more frames'
                    return
                now = time.monotonic()
                started = now if started is None else started
                number += 1
                if (number - 1) % step:
                    continue
                with self._news:
                    self.dropped += self._newest is not None
                    # what is dropped need not be converted
                    self._newest = number, now - started, frame
                    self._news.notify()
        except Exception as error:  # every driver has errors of its own
            self.ended = reason(error)
        finally:
            close()
            self._stop.set()
            with self._news:
                self._news.notify_all()

    def _local(self) -> _Reader:
        camera = cv2.VideoCapture(self.address)
        if not camera.isOpened():
            camera.release()
            raise UserError(f'there is no camera {self.address}, or another program uses it: '
                            'cameras are counted from 0')
        rate = camera.get(cv2.CAP_PROP_FPS)
        if 1 <= rate <= 1000:
            self.rate = Fraction(rate).limit_denominator(1001)

        def read() -> Any:
            there, pixels = camera.read()
            return pixels if there else None
        return read, camera.release

    def _remote(self) -> _Reader:
        av = pyav()
        try:
            container = av.open(self.address, timeout=(_SILENCE, _SILENCE), options=dict(
                fflags='nobuffer', flags='low_delay',
                **(dict(rtsp_transport='tcp') if self.address.startswith('rtsp') else {})))
        except (av.FFmpegError, OSError) as error:
            raise UserError(f'{self} cannot be opened: {reason(error)}') from error
        if not container.streams.video:
            container.close()
            raise UserError(f'{self}: there are no pictures in it')
        stream = container.streams.video[0]
        if stream.average_rate:
            self.rate = Fraction(stream.average_rate)

        def frames() -> Iterator[Any]:
            for packet in container.demux(stream):
                try:
                    decoded = packet.decode()
                except av.InvalidDataError:  # what came before the first whole frame, or was lost
                    self.broken += 1
                    continue
                yield from decoded
        every = frames()
        return lambda: next(every, None), container.close


def camera_of(source: object) -> int | str | None:
    """Number or address of the camera that a source names; None where it names none."""
    if isinstance(source, bool):
        return None
    if isinstance(source, int):
        return source
    if not isinstance(source, str):
        return None
    if found := re.fullmatch(r'(?:camera:)?(\d{1,3})', source):
        return int(found[1])
    return source if source.lower().startswith(SCHEMES) else None


def camera_name(address: int | str) -> str:
    """What results of a camera are called."""
    if isinstance(address, int):
        return f'camera_{address}'
    return re.sub(r'[^\w.-]+', '_', urlsplit(address).hostname or 'camera').strip('._') or 'camera'


def without_password(address: str) -> str:
    """An address that can be shown and written down."""
    return printable(re.sub(r'(?<=://)[^/@]*@', '***@', address).split('?')[0], 120)
