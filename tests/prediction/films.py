"""Films of boxes that move, as the perfect model finds them."""
from fractions import Fraction

import av
import numpy as np


def moving_scene(frame, size=(64, 96), gap=()):
    """A picture of two boxes that move toward each other and pass; in ``gap`` the second hides."""
    image = np.zeros((*size, 3), np.uint8)
    x = 4 + 3 * frame
    image[10:22, x:x + 14] = (1, 20, 0)
    if frame not in gap:
        x = size[1] - 20 - 3 * frame
        image[30:46, max(0, x):max(0, x + 16)] = (2, 40, 0)
    return image


def write_film(path, images, rate=10, times=None, sound=None, turn=False, codec='ffv1',
               container=None):
    """Write a film without loss.

    Args:
        path: Of the file.
        images: uint8 (H, W, 3), BGR.
        rate: Frames a second.
        times: Of each frame in milliseconds, where they are uneven.
        sound: Codec of a second of noise for each second.
        turn: Whether players turn the film by a quarter to the left (MP4 alone).
    """
    with av.open(str(path), 'w', format=container) as film:
        stream = film.add_stream(codec, rate=rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = 'bgr0' if codec == 'ffv1' else 'yuv420p'
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        voice = film.add_stream(sound, rate=8000) if sound else None
        if voice is not None:
            voice.layout = 'mono'
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='bgr24')
            frame = frame.reformat(format=stream.pix_fmt)
            if times is None:
                frame.pts, frame.time_base = number, Fraction(1, rate)
            else:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
        if voice is not None:
            count = 8000 * len(images) // rate
            noise = np.random.default_rng(0).integers(-9999, 9999, (1, count)).astype(np.int16)
            for start in range(0, count, 1024):
                frame = av.AudioFrame.from_ndarray(noise[:, start:start + 1024], format='s16',
                                                   layout='mono')
                frame.rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
                film.mux(voice.encode(frame))
            film.mux(voice.encode(None))
    if turn:
        _turn(path)
    return path


def _turn(path):
    """Have players turn an MP4 by a quarter to the left: a matrix in its head says so."""
    data = path.read_bytes()
    whole, none = (1 << 16).to_bytes(4, 'big'), bytes(4)
    upright = whole + none * 3 + whole
    at = data.index(upright, data.index(b'tkhd'))
    left = none + (-1 << 16).to_bytes(4, 'big', signed=True) + none + whole + none
    path.write_bytes(data[:at] + left + data[at + len(upright):])


def read_film(path):
    """Frames (BGR), times in seconds, and packets of the sound with their times."""
    with av.open(str(path)) as film:
        frames, times = [], []
        for frame in film.decode(video=0):
            frames.append(frame.to_ndarray(format='bgr24'))
            times.append(frame.time)
    heard = []
    with av.open(str(path)) as film:
        if film.streams.audio:
            heard = [(float(p.pts * p.time_base), bytes(p)) for p in film.demux(audio=0)
                     if p.pts is not None]
    return frames, times, heard
