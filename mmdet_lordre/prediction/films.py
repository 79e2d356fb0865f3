"""Films: their frames one by one, upright, with the time of each. By PyAV."""
import os
from collections.abc import Iterator
from fractions import Fraction
from types import ModuleType
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..errors import UserError
from ..text import plural, printable
from .pictures import IMAGE_ENDINGS

#: Files that are films by their name.
FILM_ENDINGS = ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg', '.wmv', '.flv',
                '.ts', '.mts', '.m2ts', '.3gp', '.ogv', '.gif', '.mjpeg', '.mjpg', '.h264',
                '.h265', '.hevc', '.vob', '.mxf', '.asf')
#: Formats that are lists of other files or addresses: a film from outside opens nothing else.
_LISTS = {'hls', 'concat', 'dash', 'sdp', 'rtsp', 'imf'}
#: AV_DISPOSITION_ATTACHED_PIC: the cover of a song is no film.
_COVER = 0x400
#: Pixels of a frame, and parts in a row that cannot be decoded, before a film is given up.
_MOST_PIXELS, _MOST_BROKEN = 2**28, 200
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class Shot(NamedTuple):
    """One frame.

    Attributes:
        number: In the film, from 1 on.
        time: Seconds from the beginning of the film.
        pixels: uint8 (height, width, 3), BGR.
    """
    number: int
    time: float
    pixels: np.ndarray


class Film:
    """A file with moving pictures.

    Args:
        path: Of the file, or an http(s) address.
        name: What its results are called.

    Attributes:
        rate: Frames a second on average.
        time_base: Unit of the time stamps in seconds.
        count: Frames, as the file says or its length suggests; 0 where nobody knows.
        broken: Parts that could not be decoded.

    Raises:
        UserError: PyAV is not installed, or the file is no film.
    """

    live = False
    dropped = 0

    def __init__(self, path: str, name: str):
        self.path, self.name, self.broken = path, name, 0
        container, stream = self._open()
        with container:
            self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
            self.time_base = Fraction(stream.time_base or 1 / self.rate)
            self.aspect = stream.sample_aspect_ratio
            seconds = container.duration / 1e6 if container.duration else 0
            self.count = stream.frames or max(0, round(seconds * self.rate))

    def _open(self) -> tuple[Any, Any]:
        av = pyav()
        said = printable(self.path, 200)
        protocols = 'http,https,tcp,tls' if '://' in self.path else 'file'
        try:
            container = av.open(self.path, options=dict(protocol_whitelist=protocols),
                                metadata_errors='replace', timeout=30)
        except (av.FFmpegError, OSError) as error:
            if os.path.isfile(self.path) and not os.path.getsize(self.path):
                raise UserError(f'{said}: the file is empty') from error
            raise UserError(f'{said}: FFmpeg cannot read it as a film ({reason(error)}): it is '
                            'something else, or was cut off') from error
        if _LISTS & set(container.format.name.split(',')):
            container.close()
            raise UserError(f'{said} is a list of other films, not a film: give those themselves')
        streams = [one for one in container.streams.video
                   if not getattr(one.disposition, 'value', one.disposition) & _COVER]
        if not streams:
            sound = ', only sound' if container.streams.audio else ''
            container.close()
            raise UserError(f'{said}: there are no moving pictures in it{sound}')
        stream = streams[0]
        if stream.codec_context is None:
            container.close()
            raise UserError(f'{said}: this FFmpeg has no decoder for its pictures')
        if stream.width * stream.height > _MOST_PIXELS:
            container.close()
            raise UserError(f'{said}: frames of {stream.width}x{stream.height} pixels are too '
                            'large')
        stream.thread_type = 'AUTO'
        return container, stream

    def shots(self, step: int = 1) -> Iterator[Shot]:
        """Every ``step``-th frame, the first one included.

        Raises:
            UserError: There are no frames, or the rest cannot be decoded.
        """
        container, stream = self._open()
        start = Fraction(container.start_time or 0, 1_000_000)
        number, time, self.broken = 0, -1.0, 0
        with container:
            for frame in self._frames(container, stream):
                # what has no time stamp, or one that goes back, follows the one before
                stamp = None if frame.pts is None else float(frame.pts * stream.time_base - start)
                if stamp is None or stamp <= time:
                    stamp = float(time + 1 / self.rate) if number else 0.0
                number, time = number + 1, stamp
                if (number - 1) % step == 0:
                    yield Shot(number, time, upright(frame))
        if not number:
            raise UserError(f'{printable(self.path, 200)}: no frame in it can be decoded')

    def _frames(self, container, stream):
        av, in_a_row = pyav(), 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                yield from packet.decode()
                in_a_row = 0
            except av.FFmpegError as error:
                self.broken, in_a_row = self.broken + 1, in_a_row + 1
                if in_a_row > _MOST_BROKEN:
                    raise UserError(f'{printable(self.path, 200)}: {plural(in_a_row, "part")} in '
                                    f'a row cannot be decoded ({reason(error)})') from error


def upright(frame: Any) -> np.ndarray:
    """Pixels of a frame of PyAV, BGR, turned as its metadata say."""
    pixels = frame.to_ndarray(format='bgr24')
    turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
    return pixels if turn is None else cv2.rotate(pixels, turn)


def pyav() -> ModuleType:
    """The module ``av``.

    Raises:
        UserError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise UserError("films and cameras need PyAV: pip install 'mmdet_lordre[video]'"
                        ) from error
    return av


def reason(error: BaseException) -> str:
    """What FFmpeg says, in a few words."""
    return printable(getattr(error, 'strerror', None) or error, 120)


def is_film(path: str) -> bool:
    """Whether a file is a film: by its name, or else by what FFmpeg makes of it."""
    ending = os.path.splitext(path)[1].lower()
    if ending in FILM_ENDINGS or ending in IMAGE_ENDINGS:
        return ending in FILM_ENDINGS
    if not os.path.isfile(path) or cv2.haveImageReader(path):
        return False
    try:
        Film(path, '')
    except UserError:
        return False
    return True
