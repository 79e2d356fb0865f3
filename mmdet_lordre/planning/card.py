"""The card of the data: what a person would want to know of a data set before training on it."""
from dataclasses import dataclass

import numpy as np

from ..datasets.pages import several_pages
from ..datasets.usable import not_measured
from ..text import agree, listed, plural, printable
from . import rules
from .ceiling import COUNTED
from .leaks import Leaks
from .objects import Objects
from .reading import AS_USUAL, Reading
from .sample import Looks

#: A class is rare with fewer objects than this, or than this share of the commonest class's.
RARE, RARE_SHARE = 20, 0.05
_LARGE, _SMALL = 96, 32


@dataclass(frozen=True)
class Card:
    """Figures of a data set, and what they mean.

    Attributes:
        objects: The data.
        looks: What a sample of the images shows.
        val: The validation data, if there are any.
        leaks: What the training images show of it, too; None if nobody looked.
        reading: How the image files are read.
        all_counted: Whether figures count all detections of an image.
    """
    objects: Objects
    looks: Looks
    val: Objects | None = None
    leaks: Leaks | None = None
    reading: Reading = AS_USUAL
    all_counted: bool = False

    def rows(self) -> list[tuple[str, str]]:
        """(what, figures) line by line."""
        data, looks = self.objects, self.looks
        counts, sides = data.counts, data.sides
        share = looks.objects and \
            f' (of {looks.objects} looked at in {plural(looks.images, "image")})'
        rows = [('images', _images(data) + (f'; val {_images(self.val)}' if self.val else '')),
                ('objects an image', f'median {np.median(counts):.0f}, 95 % have at most '
                                     f'{np.percentile(counts, 95):.0f}, most {counts.max()}; '
                                     f'{plural(int((counts == 0).sum()), "image")} without any'),
                ('sides in pixels', ', '.join(
                    f'{name} {np.percentile(sides, at):.0f}' for name, at in (
                        ('smallest', 0), ('5 %', 5), ('25 %', 25), ('median', 50), ('75 %', 75),
                        ('95 %', 95), ('largest', 100)))),
                ('classes', self._classes()),
                ('forms', f'{looks.elongated:.0%} more than three times as long as wide, '
                          f'{looks.holes:.0%} with holes, {looks.parts:.0%} in several parts, '
                          f'the mask fills {looks.fill:.0%} of its box{share or ""}'),
                ('neighbors', f'{looks.touching:.0%} touch another object, {looks.overlap:.0%} '
                              f'share pixels with one; {self.cut_off():.0%} are cut off at the '
                              'border'),
                ('orientation', self._orientation())]
        if line := self.reading.line():
            rows.append(('read', line))
        if data.not_learned:
            rows.append(('not learned', ', '.join(
                f'{count} {reason}' for reason, count in data.not_learned.items())
                + '; lordre check lists each'))
        for which, one in (('', data), ('val: ', self.val)):
            if one and one.wrong_images:
                rows.append(('wrong images', f'{which}training stops at '
                             f'{plural(len(one.wrong_images), "image")}, or leaves them out with '
                             f'--skip-bad: {printable("; ".join(one.wrong_images[:2]), 300)}'
                             + (', ...' if len(one.wrong_images) > 2 else '')))
            if one and one.several_pages:
                rows.append(('pages', f'{which}{several_pages(one.several_pages)}'))
        if self.leaks:
            rows.append(('near-duplicates', self._leaks()))
        return rows

    def _leaks(self) -> str:
        leaks, val = self.leaks, self.val
        found, of_all = len(leaks.pairs), len(self.objects.files)
        looked = f'the {plural(leaks.val, "validation image")}' if leaks.val == len(val.files) \
            else f'{leaks.val} of {plural(len(val.files), "validation image")}'
        against = 'a training image' if leaks.train == of_all else \
            f'one of {leaks.train} of the {of_all} training images'
        same = [' = '.join(printable(name, 60) for name in pair) for pair in leaks.pairs]
        text = (f'{found or "none"} of {looked} {"shows" if found < 2 else "show"} what {against} '
                'shows')
        text = f'{text}: {listed(same, 3)}' if same else text
        return text + (f'; {leaks.frames} {agree(leaks.frames, "comes", "come")} next to a '
                       'training image, as frames of one film do' if leaks.of_one_film else '')

    def _orientation(self) -> str:
        looks = self.looks
        turned = {(False, False): 'may be turned over and mirrored',
                  (True, False): 'may be mirrored, and stand upright',
                  (False, True): 'may be turned over, and differ from their mirror images',
                  (True, True): 'stand upright, and differ from their mirror images'}
        sideways = '' if looks.upright or looks.sided else \
            ', not laid on their side' if looks.standing else ', laid on their side too'
        text = turned[looks.upright, looks.sided] + sideways if looks.enough else \
            'too few objects to tell: mirrored left to right only'
        return text + (
            '; colors tell classes apart' if looks.colored else '')

    def _classes(self) -> str:
        numbers = np.bincount(self.objects.labels, minlength=len(self.objects.classes))
        order = np.argsort(-numbers, kind='stable')
        text = listed([f'{printable(self.objects.classes[i], 40)} {numbers[i]}' for i in order], 8)
        rare = self.rare()
        return f'{len(numbers)}: {text}' + (
            f'; rare: {listed([printable(self.objects.classes[i], 40) for i in rare], 6)}'
            if len(rare) else '')

    def rare(self) -> list[int]:
        """Labels of classes that there are few objects of."""
        numbers = np.bincount(self.objects.labels, minlength=len(self.objects.classes))
        if len(numbers) < 2:
            return []
        few = (numbers < RARE) | (numbers < RARE_SHARE * numbers.max())
        return np.flatnonzero(few).tolist()

    def cut_off(self) -> float:
        """Share of the objects that touch the border of their image."""
        data = self.objects
        limits = data.sizes[data.images][:, ::-1]
        return float(((data.boxes[:, :2] < 1) | (data.boxes[:, 2:] > limits - 1)).any(1).mean())

    def meanings(self) -> list[str]:
        """What follows from the figures, a sentence each."""
        data, looks = self.objects, self.looks
        counts, sides = data.counts, data.sides
        said = []
        if np.median(sides) < _SMALL:
            said.append(f'Half of the objects measure {np.median(sides):.0f} px or less: smaller '
                        'images and coarse masks lose them first.')
        if np.percentile(counts, 95) > 40:
            said.append('Many objects an image: heads that look in places find them more easily '
                        "than a list of filters, as the published Lordre's.")
        kinds, numbers = data.counts_by_class
        if len(numbers) and numbers.max() > COUNTED:
            beyond = np.maximum(numbers - COUNTED, 0).sum() / len(data)
            crowded = len(np.unique(kinds[numbers > COUNTED, 0]))
            of_class = ' of a class' if len(data.classes) > 1 else ''
            has = f'{plural(crowded, "image")} {agree(crowded, "has", "have")} more than ' \
                  f"{COUNTED} objects{of_class}: COCO's AP counts {COUNTED} detections" \
                  f'{of_class} an image'
            said.append(f'{has}; the planned config counts as many as there are objects.'
                        if self.all_counted else
                        f'{has}, so {beyond:.1%} of the objects can never count.')
        empty = float((counts == 0).mean())
        if empty > 0.5:
            said.append(f'{empty:.0%} of the images show no object: those that do are drawn as '
                        'often as all others together, or little would be learned of objects.')
        if rules.worth_drawing_holes(looks):
            said.append("Objects have holes: in plans PolarMask's rays begin behind the one around "
                        'their center; all others are filled.')
        if looks.parts > 0.1:
            said.append('Separate parts are common: rays (PolarMask) cannot draw them.')
        if looks.elongated > 0.3:
            said.append('Many long and thin objects: rays from a center draw them badly, and what '
                        f'counts is their width (median {np.median(data.widths):.0f} px).')
        if looks.overlap > 0.2:
            said.append('Many objects overlap: suppression of overlapping masks must be mild.')
        rare = self.rare()
        if rare:
            said.append(f'{plural(len(rare), "class")} with few objects: their figures vary '
                        'widely, and their images are sampled more often where others are in ten '
                        'times as many.')
        if self.leaks and self.leaks.pairs:
            said.append('Validation images that also occur in training make the figures too good: '
                        'split the data again, with lordre split or by giving no validation '
                        'data.')
        if self.leaks and self.leaks.of_one_film:
            said.append('Validation images are frames of the films that training shows: the '
                        'figures say nothing about other films. Set whole films aside (lordre '
                        'split --group).')
        if self.val is not None and (lacking := _not_judged(data, self.val)):
            said.append(not_measured('The validation images have', lacking) + '.')
        if not self.all_counted and (line := _mixed_sizes(data)):  # crops keep their scale
            said.append(line)
        if self.val is not None and (line := _other_sizes(data, self.val)):
            said.append(line)
        if len(data) < 20:
            said.append(f'Only {plural(len(data), "object")}: what is learned of so few says '
                        'nothing of others.')
        if len(data.files) < 100:
            said.append(f'Only {plural(len(data.files), "image")}: figures vary widely from one '
                        'choice of so few to another.')
        return said

    def text(self) -> str:
        """The card as it is printed."""
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return '\n'.join([f'{name.ljust(width)}  {figures}' for name, figures in rows]
                         + [f'  - {sentence}' for sentence in self.meanings()])


def _not_judged(train, val):
    """Names of classes that there are objects of to learn, and none to judge on."""
    learned, judged = (np.bincount(data.labels, minlength=len(data.classes))
                       for data in (train, val))
    return [train.classes[i] for i in np.flatnonzero((learned > 0) & (judged == 0))]


def _mixed_sizes(data):
    """A sentence where objects of large images are another part of them than those of small ones,
    as where pictures of one scale were cut differently."""
    longer = data.longer
    small, large = (data.sides[chosen] / longer[chosen] for chosen in (
        longer <= np.percentile(longer, 25), longer >= np.percentile(longer, 75)))
    parts = [float(np.median(part)) for part in (small, large)]
    if longer.max() < 2 * longer.min() or parts[0] < 3 * parts[1]:
        return ''
    return (f'Objects measure {parts[0]:.1%} of the longer side of small images and {parts[1]:.1%} '
            'of large ones: at one size of the network input, the latter are '
            f'{parts[0] / parts[1]:.0f} times as small. Cut large images into smaller ones first.')


def _other_sizes(train, val):
    """A sentence where objects to judge on are of another size in the network's input."""
    parts = [float(np.median(data.sides / data.longer)) for data in (train, val)]
    factor = parts[1] / parts[0]
    if 0.5 <= factor <= 2:
        return ''
    return (f'Half of the objects measure {parts[0]:.1%} of the longer side of their image or '
            f'more, of those in validation {parts[1]:.1%}: the network sees them '
            f'{max(factor, 1 / factor):.1f} times as {"large" if factor > 1 else "small"} there.')


def _images(data: Objects) -> str:
    sizes, counts = np.unique(data.sizes, axis=0, return_counts=True)
    height, width = sizes[counts.argmax()]
    if len(sizes) == 1:
        return f'{len(data.files)}, all {width} x {height}'
    longer = data.sizes.max(1)
    sides = f'{longer.min()} to {longer.max()}' if longer.min() < longer.max() else longer.max()
    often = 'mostly' if 2 * counts.max() > counts.sum() else 'most often'
    return f'{len(data.files)}, longer side {sides} px, {often} {width} x {height}'
