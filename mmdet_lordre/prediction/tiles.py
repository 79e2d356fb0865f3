"""Pictures of any size: cut into tiles, predicted, and put together again."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from torch import nn

from ..config.reading import tile_of
from ..errors import UserError
from ..masks import RLEMasks
from ..masks.runs import crop_of_rle, rle_of_crop
from .joining import AS_SURE, Joined, Piece, Window, is_cut, join, with_large
from .pictures import BrokenPictureError, Picture
from .regions import InMemory, Regions, open_regions, overview
from .result import Result
from .settings import Settings
from .stream import Finish, Stream
from .thresholds import at_labels
from .trained_size import trained_side

#: Pixels that COCO's run lengths can count.
_MOST_PIXELS = 2**32 - 1
#: Longer side of the picture of the whole, before the model's own preparation.
_OVERVIEW = 2048
#: Objects of the pass over the whole picture count from this share of a tile's side on.
_LARGE = 0.6


@dataclass(frozen=True)
class Tile(Picture):
    """A tile: its pixels are read when the network is nearly there."""
    regions: Regions | None = None
    window: Window | None = None

    def load(self) -> np.ndarray:
        """Pixels of the window, (height, width, 3)."""
        window = self.window
        return np.ascontiguousarray(
            self.regions.read(window.y, window.x, window.height, window.width))


def open_stream(model: nn.Module, settings: Settings, keep_image: bool = False) -> Stream:
    """The stream that the settings ask for: of whole pictures, or of tiles.

    A model that was trained on tiles has its pictures cut where nothing else is asked for.

    Args:
        model: Ready to predict.
        settings: Of the prediction.
        keep_image: Whether results carry their pictures.
    """
    if settings.tile is None and tile_of(model.cfg):
        settings = replace(settings, tile='auto')
    kind = Stream if settings.tile is None and not settings.level else TiledStream
    return kind(model, settings, keep_image)


def windows_of(size: tuple[int, int], side: int, overlap: float) -> list[Window]:
    """Tiles of a picture, row by row; the last of each row and column ends with the picture.

    Where the picture is narrower than a tile they are as narrow, as crops are in training: grid
    heads divide what they are given, so filling it up would move their cells.

    Args:
        size: (height, width).
        side: Of the tiles in pixels.
        overlap: Share of a tile that it has in common with the next one, at least.
    """
    step = max(1, round(side * (1 - overlap)))

    def starts(length):
        count = 1 + max(0, -(-(length - side) // step))
        last = max(0, length - side)
        return [round(i * last / max(1, count - 1)) for i in range(count)]
    return [Window(y, x, min(side, size[0]), min(side, size[1]))
            for y in starts(size[0]) for x in starts(size[1])]


class TiledStream(Stream):
    """A model that large pictures go through, tile by tile.

    Objects that tiles have in common are joined by their masks, see :func:`.joining.join`, and
    objects larger than a tile come from a pass over the whole picture. No bitmap of the picture
    is made.
    """

    def __init__(self, model: nn.Module, settings: Settings, keep_image: bool = False):
        super().__init__(model, settings)
        # what is below the threshold alone can be a part of what is above it
        self.least, self.lowest = self.lowest, AS_SURE * self.lowest
        self.thresholds = settings.lowest_scores(self.classes)
        self.keep_picture = keep_image
        self.side = trained_side(model.cfg) if settings.tile == 'auto' else settings.tile

    def run(self, pictures: Iterable[Picture], finish: Finish | None = None) -> Iterator[Result]:
        for picture in pictures:
            try:
                result = self.predict(picture)
            except BrokenPictureError as error:
                result = Result.broken(error=str(error), **picture.origin)
            yield result if finish is None else finish(result, picture)

    def predict(self, picture: Picture) -> Result:
        """The result of one picture.

        Raises:
            BrokenPictureError: It cannot be read.
        """
        regions = open_regions(picture, self.prepare, self.settings.level)
        try:
            if regions.size[0] * regions.size[1] > _MOST_PIXELS:
                raise UserError(f'{picture.path}: {regions.size[1]}x{regions.size[0]} pixels are '
                                'more than run lengths can count: read a smaller level')
            result = self._joined(picture, regions)
            result = result[result.scores >= at_labels(self.least, result.labels)]
            if self.keep_picture:
                result.image = regions.read(0, 0, *regions.size)
            return result
        finally:
            regions.close()

    def _joined(self, picture: Picture, regions: Regions) -> Result:
        size = tuple(int(side) for side in regions.size)
        if self.side is None or max(size) <= self.side:
            # nothing to cut: as without tiles
            whole = regions if isinstance(regions, InMemory) else None
            pixels = whole.pixels if whole else regions.read(0, 0, *size)
            return self._one(picture, pixels)
        windows = windows_of(size, self.side, self.settings.overlap)
        tiles = (Tile(picture.name, number, picture.path, regions=regions, window=window)
                 for number, window in enumerate(windows))
        pieces = []
        for number, found in enumerate(super().run(tiles)):
            if found.error is not None:
                raise BrokenPictureError(found.error)
            pieces += _pieces(found, number, windows[number], size)
        joined = with_large(join(pieces, windows, size), self._large(picture, regions),
                            self.thresholds)
        return Result(
            size=size, masks=RLEMasks([one.rle for one in joined], size),
            scores=np.array([one.score for one in joined]),
            labels=np.array([one.label for one in joined]), classes=self.classes,
            **picture.origin)

    def _one(self, picture: Picture, pixels: np.ndarray) -> Result:
        sample, = self.samples([self.prepare(pixels, picture)])
        return self.result_of(sample, picture, pixels)

    def _large(self, picture: Picture, regions: Regions) -> list[Joined]:
        """Objects that are too large for a tile, from the whole picture."""
        pixels = overview(regions, max(_OVERVIEW, self.side))
        try:
            found = self._one(picture, pixels)
        except BrokenPictureError:  # so thin that no object can be large
            return []
        down, right = (a / b for a, b in zip(regions.size, pixels.shape[:2]))
        large = []
        for i, (x1, y1, x2, y2) in enumerate(found.boxes.tolist()):
            if max((y2 - y1) * down, (x2 - x1) * right) >= _LARGE * self.side:
                large.append(Joined(_enlarged(found.masks[i], regions.size, down, right),
                                    float(found.scores[i]), int(found.labels[i]), False))
        return large


def _pieces(found: Result, number: int, window: Window, size: tuple[int, int]) -> Iterator[Piece]:
    """What was found in a tile."""
    for i, rle in enumerate(found.masks):
        box = found.boxes[i].tolist()
        box = (box[0] + window.x, box[1] + window.y, box[2] + window.x, box[3] + window.y)
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        yield Piece(rle, float(found.scores[i]), int(found.labels[i]), number, box,
                    is_cut(box, window, size))


def _enlarged(rle: dict, size: tuple[int, int], down: float, right: float) -> dict:
    """Run lengths over the picture of a mask over a smaller one."""
    y, x, bitmap = crop_of_rle(rle)
    top, left = round(y * down), round(x * right)
    height = min(size[0], round((y + bitmap.shape[0]) * down)) - top
    width = min(size[1], round((x + bitmap.shape[1]) * right)) - left
    # of a whole column of pixels a time would be slower than one bitmap inside the bounds
    large = cv2.resize(bitmap * 255, (max(1, width), max(1, height)),
                       interpolation=cv2.INTER_LINEAR) > 127
    return rle_of_crop(large, top, left, size)
