"""Kinds of pictures that ``tools/demo.py --mode`` can draw.

A family that has something of its own to show adds a module here with a function::

    @picture_mode('rays', needs='rays', of='PolarMask', test_cfg=dict(rays=True))
    def draw_rays(image, sample, classes, palette):
        ...
        return picture

``needs`` is the field of ``pred_instances`` that the picture is made of, ``test_cfg`` is what
makes the head put it there.
"""
from collections.abc import Callable
from dataclasses import dataclass, field

PICTURE_MODES = {}


@dataclass
class PictureMode:
    """One kind of picture.

    Attributes:
        name: As given to ``--mode``.
        draw (Callable): (image (H, W, 3) uint8 RGB, data sample, classes, palette) ->
            picture, uint8 RGB of any size.
        needs: Field of ``pred_instances`` that must be there.
        of: The models that have it, in words.
        test_cfg: Merged into the ``test_cfg`` of the model.
    """
    name: str
    draw: Callable
    needs: str | None = None
    of: str = 'any model'
    test_cfg: dict = field(default_factory=dict)


def picture_mode(name: str, needs: str | None = None, of: str = 'any model',
                 test_cfg: dict | None = None) -> Callable:
    """Register a drawing function as a mode of the demo.

    Args:
        name: Of the mode.
        needs: What results must have to be drawn, beside masks.
        of: The models that it is for, in words.
        test_cfg: Settings with which a model gives that.

    Returns:
        A decorator.
    """
    def register(draw):
        PICTURE_MODES[name] = PictureMode(name, draw, needs, of, dict(test_cfg or {}))
        return draw
    return register
