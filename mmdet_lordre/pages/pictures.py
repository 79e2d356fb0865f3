"""Pictures inside a page: small, and of a size that is known before."""
import base64

import cv2
import numpy as np

#: Qualities of JPEG that are tried until a picture is small enough.
_QUALITIES = (82, 70, 55, 40, 25)


def thumbnail(image: np.ndarray, side: int = 160, most_bytes: int = 12_000) -> str:
    """A small copy of an image, as an address that an ``<img>`` takes.

    Args:
        image: (H, W, 3) uint8, RGB.
        side: The longer side in pixels at most; nothing is enlarged.
        most_bytes: JPEG bytes at most. Quality gives way first, then size.

    Returns:
        ``data:image/jpeg;base64,...``, a third longer than its bytes.
    """
    while True:
        image = shrink(image, side)
        for quality in _QUALITIES:
            data = _jpeg(image, quality)
            if len(data) <= most_bytes:
                return data_uri(data, 'image/jpeg')
        side = max(image.shape[:2]) // 2
        if side < 8:
            return data_uri(data, 'image/jpeg')


def shrink(image: np.ndarray, side: int) -> np.ndarray:
    """The image (H, W, 3) with its longer side ``side`` pixels at most, by areas."""
    height, width = image.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return image
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def data_uri(data: bytes, kind: str) -> str:
    """Bytes as an address.

    Args:
        data: Of a file.
        kind: Its media type, such as ``'image/png'``.
    """
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'


def _jpeg(image, quality):
    bgr = np.ascontiguousarray(image[..., ::-1])
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
