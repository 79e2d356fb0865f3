"""An object that a tool writes as several shapes: polygons, masks, and what is cut out of them."""
from collections.abc import Hashable

from pycocotools import mask as mask_api

from ...errors import UserError
from ...text import quoted
from ..annotation_rules import mask_problem
from .coco_data import Builder
from .run_lengths import combined, rle_of_polygons


def corners(points: object, where: str) -> list[float]:
    """A polygon as ``[x1, y1, x2, y2, ...]`` from a list of pairs.

    Args:
        points: As a file says them.
        where: File and shape, for the message.

    Raises:
        UserError: They are no pairs of numbers.
    """
    if isinstance(points, list):
        flat = [value for point in points if isinstance(point, (list, tuple)) and len(point) == 2
                for value in point]
        if len(flat) == 2 * len(points) and set(map(type, flat)) <= {int, float}:
            return flat
    raise UserError(f'{where}: its points are no list of [x, y]: {quoted(points)}')


def rectangle(x1: float, y1: float, x2: float, y2: float) -> list[float]:
    """The polygon of a rectangle, by any two opposite corners."""
    (x1, x2), (y1, y2) = sorted((x1, x2)), sorted((y1, y2))
    return [x1, y1, x2, y1, x2, y2, x1, y2]


class Pieces:
    """Shapes of one object.

    Args:
        name: Of its class.

    Attributes:
        polygons: ``[x1, y1, x2, y2, ...]`` each.
        masks: Run lengths.
        cut: Polygons or run lengths that are no part of it.
    """

    def __init__(self, name: str):
        self.name = name
        self.polygons: list[list[float]] = []
        self.masks: list[dict] = []
        self.cut: list[list[float] | dict] = []

    def add_with_holes(self, outer: list[float], holes: list[list[float]], image: dict) -> None:
        """Add a polygon with holes, which are cut out of it alone."""
        holes = [hole for hole in holes if len(hole) >= 6]
        if len(outer) < 6 or mask_problem([outer, *holes], image):
            self.polygons += [outer, *holes]
        else:
            self.masks.append(rle_of_polygons([outer], holes, image['height'], image['width']))

    def put(self, builder: Builder, part: str, image: dict) -> None:
        """Add the object to a data set; polygons stay polygons where nothing is cut out."""
        few = sum(len(polygon) < 6 for polygon in self.polygons)
        if few:
            builder.lose('polygons of fewer than three points', few)
            self.polygons = [polygon for polygon in self.polygons if len(polygon) >= 6]
        if not self.polygons and not self.masks:
            return
        cut = [[shape] if isinstance(shape, list) else shape for shape in self.cut
               if isinstance(shape, dict) or len(shape) >= 6]
        plain = not self.masks and not cut
        # what cannot be drawn is handed on as it is, for the rules of annotations to name it
        wrong = next((shape for shape in ([self.polygons] if self.polygons else []) + cut
                      if mask_problem(shape, image)), None)
        if plain or wrong is not None:
            builder.add(part, image, self.name, self.polygons if plain else wrong)
            return
        height, width = image['height'], image['width']

        def drawn(shape):
            return shape if isinstance(shape, dict) else mask_api.merge(mask_api.frPyObjects(
                [list(map(float, polygon)) for polygon in shape], height, width))
        whole = self.masks + ([drawn(self.polygons)] if self.polygons else [])
        builder.add(part, image, self.name, combined(whole, list(map(drawn, cut)), height, width))


class Grouped:
    """The objects of an image, some of several shapes that one number holds together."""

    def __init__(self):
        self.objects: list[Pieces] = []
        self._groups: dict[Hashable, Pieces] = {}
        self.joined = 0

    def object(self, name: str, group: Hashable = None) -> Pieces:
        """The object that a shape belongs to.

        Args:
            name: Of its class.
            group: What the shapes of one object share; None for a shape of its own.
        """
        if group is not None and (name, group) in self._groups:
            found = self._groups[name, group]
            self.joined += len(found.polygons) + len(found.masks) == 1
            return found
        self.objects.append(Pieces(name))
        if group is not None:
            self._groups[name, group] = self.objects[-1]
        return self.objects[-1]
