"""What can be done to masks after the network, each only where it is asked for."""
import cv2
import numpy as np

from ..masks.runs import Crop, rle_of_crop
from .overlaps import box_pairs, intersection, shared_window
from .result import Result
from .settings import Settings


def clean(result: Result, settings: Settings) -> Result:
    """Post-process a result as the settings say.

    Objects without a pixel are left out. In this order: mask NMS, smoothing, filling of holes, one
    label a pixel, leaving out of specks.

    Args:
        result: The surest object first.
        settings: ``mask_nms``, ``smooth``, ``fill_holes``, ``one_label``, ``min_area``.
    """
    if result.error is not None or not len(result):
        return result
    drawn = np.flatnonzero(result.areas)
    if len(drawn) < len(result):
        result = result[drawn]
    if settings.mask_nms is not None:
        result = mask_nms(result, settings.mask_nms)
    if not (settings.smooth or settings.fill_holes or settings.one_label or settings.min_area):
        return result
    crops = []
    for crop in result.crops():
        if settings.smooth:
            crop = smoothed(crop, settings.smooth, result.size)
        if settings.fill_holes:
            crop = crop._replace(bitmap=without_holes(crop.bitmap, settings.fill_holes))
        crops.append(crop)
    if settings.one_label:
        crops = one_label(crops, result.boxes if not settings.smooth else None)
    if settings.min_area:
        crops = [crop._replace(bitmap=without_specks(crop.bitmap, settings.min_area))
                 for crop in crops]
    kept = [i for i, crop in enumerate(crops) if crop.bitmap.any()]
    return result.with_objects(
        [rle_of_crop(crops[i].bitmap, crops[i].y, crops[i].x, result.size) for i in kept],
        result.scores[kept], result.labels[kept])


def mask_nms(result: Result, threshold: float) -> Result:
    """Leave out every object that a surer one of its class covers with a larger IoU.

    Args:
        result: The surest object first.
        threshold: IoU of masks above which two are one.
    """
    areas, crops = result.areas, {}
    rivals: dict[int, list[int]] = {}
    for pairs in box_pairs(result.boxes):
        same = result.labels[pairs[:, 0]] == result.labels[pairs[:, 1]]
        for first, second in pairs[same].tolist():
            rivals.setdefault(second, []).append(first)
    gone = set()
    for second in sorted(rivals):
        for first in rivals[second]:
            if first in gone:
                continue
            # no pixels are needed where the areas alone tell
            small, large = sorted((areas[first], areas[second]))
            if small <= threshold * large:
                continue
            for i in (first, second):
                if i not in crops:
                    crops[i] = result.crop(i)
            common = intersection(crops[first], crops[second])
            if common > threshold * (areas[first] + areas[second] - common):
                gone.add(second)
                break
    return result[[i for i in range(len(result)) if i not in gone]] if gone else result


def without_specks(bitmap: np.ndarray, area: int) -> np.ndarray:
    """A mask without its parts of fewer than ``area`` pixels (also when it is all)."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bitmap, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < area
    small[0] = True
    return bitmap if count < 2 else (~small)[labels].astype(np.uint8)


def without_holes(bitmap: np.ndarray, area: int) -> np.ndarray:
    """A mask with its holes of at most ``area`` pixels filled."""
    if not bitmap.size:
        return bitmap
    around = cv2.copyMakeBorder(1 - bitmap, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    # what is outside of an 8-connected object is 4-connected
    _, labels, stats, _ = cv2.connectedComponentsWithStats(around, connectivity=4)
    holes = stats[:, cv2.CC_STAT_AREA] <= area
    holes[0] = holes[labels[0, 0]] = False
    return bitmap | holes[labels[1:-1, 1:-1]].astype(np.uint8)


def smoothed(crop: Crop, radius: float, size: tuple[int, int]) -> Crop:
    """A mask with a smoother contour and as many pixels as before.

    The mask is blurred, and where the blurred values are highest, as many pixels as it had are
    taken: what is convex does not shrink, what is small does not vanish.

    Args:
        crop: The mask.
        radius: Standard deviation of the blur in pixels.
        size: (height, width) of the picture: what touches its border goes on beyond it.
    """
    area = int(np.count_nonzero(crop.bitmap))
    if not area:
        return crop
    reach = int(np.ceil(3 * radius))
    height, width = crop.bitmap.shape
    top, left = min(reach, crop.y), min(reach, crop.x)
    bottom = min(reach, size[0] - crop.y - height)
    right = min(reach, size[1] - crop.x - width)
    wide = cv2.copyMakeBorder(crop.bitmap, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    values = cv2.GaussianBlur(wide.astype(np.float32), (2 * reach + 1, ) * 2, radius,
                              borderType=cv2.BORDER_REPLICATE)
    # of equal values those that were inside before
    values += wide * 1e-6
    level = np.partition(values.ravel(), values.size - area)[values.size - area]
    return Crop(crop.y - top, crop.x - left, (values >= level).astype(np.uint8))


def one_label(crops: list[Crop], boxes: np.ndarray | None = None) -> list[Crop]:
    """Masks of which each pixel belongs to the first that has it.

    Args:
        crops: The surest first.
        boxes: (N, 4) around them, where they are known.
    """
    if boxes is None:
        boxes = np.array([[c.x, c.y, c.x + c.bitmap.shape[1], c.y + c.bitmap.shape[0]]
                          for c in crops], float).reshape(-1, 4)
    result = [crop._replace(bitmap=crop.bitmap.copy()) for crop in crops]
    for pairs in box_pairs(boxes):
        for first, second in pairs.tolist():
            views = shared_window(crops[first], result[second])
            if views is not None:
                views[1][views[0] > 0] = 0
    return result
