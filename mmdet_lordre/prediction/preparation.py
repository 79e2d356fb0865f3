"""From a picture to the input of the network, as the config's test data are prepared."""
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import mmcv
import numpy as np
from mmcv.transforms import Compose
from mmdet.registry import TRANSFORMS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..config.reading import type_name
from ..errors import UserError
from ..registry import BUILDING
from .pictures import BrokenPictureError, Picture

#: Steps that have no part here: nothing is annotated, and who wants tiles has them cut.
_LEFT_OUT = 'LoadAnnotations', 'WarnOfWholePictures'


class Preparation:
    """The test pipeline of a config in two steps: read, then prepare.

    Args:
        cfg: With ``test_dataloader``.

    Raises:
        UserError: The pipeline does not begin with reading a file.
    """

    def __init__(self, cfg: Config):
        steps = list(get_test_pipeline_cfg(cfg))
        loader = steps[0] if steps else {}
        if type_name(loader) != 'LoadImageFromFile':
            raise UserError(
                f'the test pipeline of the config begins with {loader.get("type", "nothing")}, not '
                'with LoadImageFromFile: pictures of other origins cannot be put through it')
        self.color, self.backend = loader.get('color_type', 'color'), loader.get(
            'imdecode_backend', 'cv2')
        self.as_float = loader.get('to_float32', False)
        # part of reading: what is drawn and cut into tiles has 8 bits
        scaled = len(steps) > 1 and type_name(steps[1]) == 'ScaleValues'
        with BUILDING:
            init_default_scope(cfg.get('default_scope', 'mmdet'))
            self.scale = TRANSFORMS.build(steps[1]).scaled if scaled else None
            self.rest = Compose([step for step in steps[1 + scaled:] if not any(
                name in str(step.get('type', '')) for name in _LEFT_OUT)])

    def read(self, picture: Picture) -> np.ndarray:
        """The pixels of a picture, (height, width, channels), BGR.

        Raises:
            BrokenPictureError: It cannot be read or decoded.
        """
        pixels = picture.load()
        if pixels is not None:  # of 16 bits only where a program hands them over
            return (self.scale or high_bits)(pixels)
        data = picture.data()
        if not data:
            raise BrokenPictureError('the file is empty')
        try:
            pixels = mmcv.imfrombytes(data, flag=self.color, backend=self.backend)
        except Exception as error:  # every backend has errors of its own
            raise BrokenPictureError(f'it cannot be decoded ({str(error)[:120]})') from error
        if pixels is None:
            raise BrokenPictureError('it cannot be decoded')
        return self.scale(pixels) if self.scale else pixels

    def __call__(self, pixels: np.ndarray, picture: Picture) -> dict:
        """``inputs`` and ``data_samples`` of one picture.

        Raises:
            BrokenPictureError: It is so thin that nothing is left of a side where it is resized.
        """
        shape = pixels.shape[:2]
        if self.as_float:
            pixels = pixels.astype(np.float32)
        with thin_is_broken(shape):
            return self.rest(dict(
                img=pixels, img_id=picture.index, img_path=picture.path or '', img_shape=shape,
                ori_shape=shape, height=shape[0], width=shape[1]))


@contextmanager
def thin_is_broken(shape: tuple[int, int]) -> Iterator[None]:
    """Within it a picture is resized, of which nothing may be left.

    Args:
        shape: Its height and width.

    Raises:
        BrokenPictureError: OpenCV finds nothing left of a side.
    """
    try:
        yield
    except cv2.error as error:
        if 'inv_scale' not in str(error):
            raise
        raise BrokenPictureError(
            f'{shape[1]}x{shape[0]} px are so thin that nothing is left of the shorter side '
            'where pictures are resized for the network; cut it') from error


def high_bits(pixels: np.ndarray) -> np.ndarray:
    """Pixels of 16 bits as OpenCV reads them with 8."""
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
