"""Pictures of 16 bits that a model reads with 8, of which little may be left."""
import os
import warnings

import cv2
import numpy as np
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from PIL import Image

from ..config.reading import type_name
from ..text import plural, printable
from ..visualization.seen import RANGE, decoded

#: Gray levels that reading 8 bits should leave.
_LEVELS = 128
#: Where a PNG file has the bits of its values, and the tag by which a TIFF file has them.
_PNG_BITS, _TIFF_BITS = 24, 258


def has_16_bits(path: str) -> bool:
    """Whether a file is a PNG or TIFF of 16 bits, by its header.

    Args:
        path: Of the file, or an address, which is not opened.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending not in ('.png', '.tif', '.tiff') or not os.path.isfile(path):
        return False
    try:
        if ending == '.png':
            with open(path, 'rb') as file:
                return file.read(_PNG_BITS + 1)[_PNG_BITS:] == b'\x10'
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(path) as opened:
                return set(opened.tag_v2.get(_TIFF_BITS, ())) == {16}
    except Exception:  # Pillow raises many kinds; whoever reads the picture says what is wrong
        return False


def few_levels(path: str, cfg: Config) -> str | None:
    """A line where a model reads the upper 8 bits of a picture alone, and little is in them.

    Args:
        path: Of a picture of 16 bits.
        cfg: Of the model.
    """
    # other decoders, and OpenCV where nothing is to be changed, give all 16
    if any(type_name(step) == 'ScaleValues' or step.get('color_type') == 'unchanged'
           or step.get('imdecode_backend', 'cv2') != 'cv2' for step in get_test_pipeline_cfg(cfg)):
        return None
    picture = decoded(path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if picture is None or picture.dtype not in (np.uint16, np.int16):
        return None
    low, high = (int(value) for value in np.percentile(picture[::4, ::4], RANGE))
    levels = (high >> 8) - (low >> 8) + 1
    if levels >= _LEVELS and low >= 0:
        return None
    return (f'pictures of 16 bits ({printable(path, 200)}: values from {low} to {high}): the model '
            f'reads the upper 8 alone, which is {plural(levels, "gray level")} here; convert them '
            'to 8 bits as those were that it was trained on'
            + (', or train it with lordre plan, which takes all 16' if low >= 0 else ''))
