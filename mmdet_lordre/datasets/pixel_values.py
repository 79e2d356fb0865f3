"""Pictures of 16 bits, whose values lie in a part of what these could hold."""
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ScaleValues(BaseTransform):
    """Make values between two limits 0 to 255, and cut off those beyond.

    OpenCV makes 8 bits of 16 by leaving out the lower ones: of a microscope's 12 bits 16 gray
    levels are left. This step follows ``LoadImageFromFile(color_type=3)``, which keeps them (3 is
    ``cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH``). Pictures of 8 bits stay as they are.

    Args:
        low, high: Values in the file that become 0 and 255.

    Raises:
        ValueError: ``low`` is not below ``high``.
    """

    def __init__(self, low: int, high: int) -> None:
        if not low < high:
            raise ValueError(f'ScaleValues: low must be below high, not {low} and {high}')
        self.low, self.high = low, high
        scaled = (np.arange(2**16) - low) * (255 / (high - low))
        self._table = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)

    def transform(self, results: dict) -> dict:
        """Required and modified keys: ``img``."""
        results['img'] = self.scaled(results['img'])
        return results

    def scaled(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 of the same shape."""
        return self._table[pixels] if pixels.dtype == np.uint16 else pixels
