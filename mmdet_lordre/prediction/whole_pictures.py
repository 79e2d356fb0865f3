"""What programs are told that put a whole picture through a model of tiles."""
import warnings

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class WarnOfWholePictures(BaseTransform):
    """Say once that a picture is larger than what a model was trained on, and what cuts it.

    A step of the test pipeline of a model for large pictures. ``lordre predict``, ``lordre test``
    and :class:`~mmdet_lordre.Segmenter` cut pictures and leave this step out; mmdet's own
    ``DetInferencer`` and ``inference_detector`` reduce them, in which small objects vanish.

    Args:
        tile: Side in pixels of the file that the model was trained on.
    """

    said = False  # once in a process, whoever asks

    def __init__(self, tile: int) -> None:
        self.tile = int(tile)

    def transform(self, results: dict) -> dict:
        """The results as they are. Required keys: ``ori_shape``."""
        side = max(results['ori_shape'][:2])
        if side > self.tile and not WarnOfWholePictures.said:
            WarnOfWholePictures.said = True
            # shown wherever the program says nothing else of warnings
            warnings.warn(reduced(side, self.tile), stacklevel=2)
        return results


def reduced(side: int, tile: int) -> str:
    """One line about a picture that is not cut.

    Args:
        side: Its longer one in pixels.
        tile: What the model was trained on.
    """
    return (f'this model was trained on crops of {tile} px, and a picture of {side} px is reduced '
            f'to one of them, {side / tile:.1f} times as small: small objects vanish. lordre '
            'predict and Segmenter.predict cut such pictures into tiles')
