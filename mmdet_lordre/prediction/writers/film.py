"""A film of the results, as long and as loud as the source; and its frames as pictures."""
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import UserError
from ...files import UNFINISHED
from ..films import Film, pyav
from ..result import Result
from .base import Context, Writer, write_whole
from .pictures import drawn_frame, shown

#: Sound that an MP4 file can hold; other sound goes into a Matroska file.
_IN_MP4 = {'aac', 'mp3', 'ac3', 'eac3', 'alac', 'opus', 'flac'}
#: ITU-R BT.709, which players take for granted.
_BT709 = 1
_QUALITY = dict(libx264={'crf': '20', 'preset': 'veryfast'}, mpeg4={'qscale': '3'})


class FilmWriter(Writer):
    """``films/NAME.mp4``: every object drawn, one color an identity, with the sound of the source.

    Frames keep their times, also where those are uneven. The sound is copied, not encoded again;
    where an MP4 file cannot hold it, the film is a Matroska file (``.mkv``).
    """

    name = 'film'
    needs_image = True

    def __init__(self, context: Context):
        super().__init__(context)
        if context.frames is None:
            raise UserError('--save film is for films and cameras: pictures are drawn by --save '
                            'pictures')
        self.encoder: Encoder | None = None
        self.film = ''

    def write(self, result: Result) -> np.ndarray:
        """The drawn frame, RGB."""
        return drawn_frame(result, self.context)

    def append(self, result: Result, made: Any) -> None:
        if made is None:
            return
        if self.encoder is None or result.film != self.film:
            self.close()
            self.film = result.film
            self.encoder = Encoder(self.context.path('films', result.film),
                                   self.context.frames.film(result.film), made.shape[:2])
        self.encoder.add(made, result.time)

    def close(self) -> None:
        encoder, self.encoder = self.encoder, None
        if encoder is not None:
            encoder.close()


class FramePictures(Writer):
    """``frames/NAME/000001.jpg``: the frames as they are, for annotations that point at them."""

    name = 'frames'
    needs_image = True

    def __init__(self, context: Context):
        super().__init__(context)
        if context.frames is None:
            raise UserError('--save frames is for films and cameras: pictures are files already')

    def write(self, result: Result) -> None:
        ok, data = cv2.imencode('.jpg', shown(result.image), [cv2.IMWRITE_JPEG_QUALITY, 95])
        if not ok:
            raise UserError(f'OpenCV cannot write a frame of {result.size} pixels as JPEG')
        write_whole(self.context.path('frames', f'{result.name}.jpg'), data.tobytes())


class Encoder:
    """A film that is being written, whole or not there.

    Args:
        stem: Path without ending.
        film: Whose times and sound it has.
        size: (height, width) of the frames; others are fitted into it.
    """

    def __init__(self, stem: Path, film: Film, size: tuple[int, int]):
        av = pyav()
        self.sound = _Sound(film.path) if film.path else None
        plain = self.sound is None or self.sound.codec in (None, *_IN_MP4)
        self.path = Path(f'{stem}{".mp4" if plain else ".mkv"}')
        self.unfinished = f'{self.path}{UNFINISHED}'
        # both sides even: colors have half the resolution
        self.size, self.last = tuple(side + side % 2 for side in size), -1
        self.container = av.open(self.unfinished, 'w', format='mp4' if plain else 'matroska')
        name = next(one for one in _QUALITY if one in av.codecs_available)
        stream = self.container.add_stream(name, rate=film.rate, options=_QUALITY[name])
        stream.height, stream.width, stream.pix_fmt = *self.size, 'yuv420p'
        context = stream.codec_context
        # finer than the source's, which may be too coarse for uneven times
        unit = film.time_base
        self.base = unit / max(1, ceil(1000 * unit)) if unit * 90_000 >= 1 else \
            Fraction(1, 90_000)
        stream.time_base = context.time_base = self.base
        if film.aspect:
            context.sample_aspect_ratio = film.aspect
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self.stream = stream
        if self.sound is not None and self.sound.codec:
            self.sound.into(self.container)

    def add(self, pixels: np.ndarray, time: float) -> None:
        """Encode a frame.

        Args:
            pixels: uint8 (height, width, 3), RGB.
            time: Seconds from the beginning.
        """
        av = pyav()
        self.last = max(self.last + 1, round(time / self.base))
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(fitted(pixels, self.size)),
                                           format='rgb24')
        frame = frame.reformat(format='yuv420p', dst_colorspace=_BT709)
        frame.pts, frame.time_base = self.last, self.base
        for packet in self.stream.encode(frame):
            self.container.mux(packet)
        if self.sound is not None:
            self.sound.until(time)

    def close(self) -> None:
        """End the film, and give it its name."""
        try:
            for packet in self.stream.encode(None):
                self.container.mux(packet)
            if self.sound is not None:
                self.sound.until(float((self.last + 1) * self.base) + 1)
            self.container.close()
            os.replace(self.unfinished, self.path)
        except BaseException:
            with suppress(OSError):
                os.remove(self.unfinished)
            raise
        finally:
            if self.sound is not None:
                self.sound.close()


class _Sound:
    """The sound of a film, packet by packet as its pictures are written."""

    def __init__(self, path):
        self.container = pyav().open(path, options=dict(protocol_whitelist=(
            'http,https,tcp,tls' if '://' in path else 'file')), metadata_errors='replace')
        streams = self.container.streams.audio
        self.source = streams[0] if streams else None
        self.codec = self.source.codec_context.name if streams else None
        self.start = self.container.start_time or 0
        self.target = self.packet = None

    def into(self, container):
        self.output = container
        self.target = container.add_stream_from_template(self.source)
        self.packets = self._packets()
        self.packet = next(self.packets, None)

    def _packets(self) -> Iterator[Any]:
        base = self.source.time_base
        start = round(Fraction(self.start, 1_000_000) / base)
        with suppress(pyav().FFmpegError):  # what can be read of a film that is cut off
            for packet in self.container.demux(self.source):
                if packet.dts is not None and packet.pts is not None:
                    packet.pts, packet.dts = packet.pts - start, packet.dts - start
                    yield packet

    def until(self, time):
        """Copy what is heard before a time in seconds."""
        while self.packet is not None and self.packet.dts * self.source.time_base <= time:
            self.packet.stream = self.target
            self.output.mux(self.packet)
            self.packet = next(self.packets, None)

    def close(self):
        self.container.close()


def fitted(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture scaled into a size, in the middle; the same where it has that size."""
    if pixels.shape[:2] == size:
        return pixels
    height, width = pixels.shape[:2]
    canvas = np.zeros((*size, 3), np.uint8)
    if 0 <= size[0] - height <= 1 and 0 <= size[1] - width <= 1:
        canvas[:height, :width] = pixels
        # the row that makes the size even goes on as the last one
        canvas[height:, :width] = pixels[-1:]
        canvas[:, width:] = canvas[:, width - 1:width]
        return canvas
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    y, x = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[y:y + inner[0], x:x + inner[1]] = cv2.resize(
        pixels, inner[::-1], interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return canvas
