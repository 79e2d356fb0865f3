"""MOTS: identities and masks of a film as text, as MOTSChallenge and KITTI have them."""
import numpy as np

from ...errors import UserError
from ...files import atomic_write
from ...masks.runs import rle_of_crop
from ..cleanup import one_label
from ..result import Result, text_rle
from .base import Context, Results, Writer


class MOTS(Writer):
    """``mots/NAME.txt``: a line ``frame track class height width run-lengths`` for each object.

    Frames count from 1, classes are the category ids of the other files. The format allows no
    pixel to two objects: the surest one has it.
    """

    name = 'mots'

    def __init__(self, context: Context):
        super().__init__(context)
        if context.frames is None or not context.tracked:
            raise UserError('--save mots is for films whose objects are tracked: --track')

    def finish(self, results: Results) -> None:
        every, film = results(), None
        result = next(every, None)
        while result is not None:
            film = result.film
            with atomic_write(self.context.path('mots', f'{film}.txt')) as name, \
                    open(name, 'w', encoding='ascii') as file:
                while result is not None and result.film == film:
                    file.writelines(self._lines(result))
                    result = next(every, None)

    def _lines(self, result: Result) -> list[str]:
        crops = one_label(list(result.crops()), result.boxes)
        lines = []
        for crop, label, number in zip(crops, result.labels.tolist(), result.numbers):
            if np.any(crop.bitmap):
                rle = text_rle(rle_of_crop(crop.bitmap, crop.y, crop.x, result.size))
                lines.append(f'{result.frame} {number} {self.context.category_id(label)} '
                             f'{result.size[0]} {result.size[1]} {rle["counts"]}\n')
        return lines
