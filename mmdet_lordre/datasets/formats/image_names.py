"""Which images the files of annotations mean, by the names they give; no two take one file."""
import posixpath
from collections import Counter
from collections.abc import Sequence

from ...text import plural, printable
from ..file_names import base_names, composed
from .folder import IMAGE_FOLDERS, IMAGES, Folder
from .options import part_of_folders


class ImageNames:
    """The images of a data set.

    Args:
        folder: That holds them.
        wanted: For each image the name as the tool wrote it, and the name of the folder that the
            annotations are in.

    Attributes:
        found: For each image the name of its file in the folder, None where it is missing.
        guessed: Numbers of those that are found under another name.
    """

    def __init__(self, folder: Folder, wanted: Sequence[tuple[str, str]]):
        self.folder, self.wanted = folder, list(wanted)
        self._stems: dict[str, dict[str, list[str]]] = {}
        self._all: dict[str, list[str]] | None = None
        self._homes: dict[tuple[str, str], list[str]] = {}
        self.found = [self._said(*want) for want in self.wanted]
        self.guessed: list[int] = []
        self._take(self._own)
        own = [(want, found) for want, found in zip(self.wanted, self.found, strict=True) if found]
        #: What is said to lie in a folder keeps others out of it.
        self._named = {posixpath.dirname(found): near for (name, near), found in own
                       if near or '/' in name.replace('\\', '/')}
        self.guessed = self._take(self._guess)

    def beside(self, index: int, stem: str) -> str | None:
        """Take for an image that is missing the one that is called as its annotations are.

        Args:
            index: Number of the image.
            stem: Name of the file of annotations without its ending.
        """
        near = self.wanted[index][1]
        found = self._stems_in(near).get(_stem(stem), ())
        if len(found) != 1 or found[0] in self.found:
            return None
        self.found[index] = found[0]
        self.guessed.append(index)
        return found[0]

    def lost_name(self, index: int) -> str:
        """A name for an image that is missing, under which there is no other."""
        name, near = self.wanted[index]
        plain = (base_names(name) or [name])[0].replace(':', '').lstrip('/')
        whole = self.folder.within(name, near) or posixpath.normpath(posixpath.join(near, plain))
        while self.folder.kind(whole) is not None:
            whole = posixpath.join('missing', whole)
        return whole

    def notes(self) -> list[str]:
        """What to say of it."""
        notes = []
        if self.guessed:
            first = self.guessed[0]
            notes.append(f'images: {len(self.guessed)} found under another name '
                         f'({printable(self.wanted[first][0], 60)} as '
                         f'{printable(self.found[first], 60)})')
        lost = [index for index, found in enumerate(self.found) if found is None]
        if lost:
            notes.append(f'{plural(len(lost), "image")} not found '
                         f'({printable(self.lost_name(lost[0]), 60)})')
        return notes

    def _take(self, look):
        """Give files to images that have none, where one alone means a file; their numbers."""
        taken = {found for found in self.found if found is not None}
        claims = {index: look(*self.wanted[index]) for index, found in enumerate(self.found)
                  if found is None}
        # an image that is listed twice under one name is one: what is twice is said later
        alone = look == self._guess
        meant = Counter(file for file, _ in {
            (file, index if alone else self.wanted[index]) for index, file in claims.items()})
        new = [index for index, file in claims.items()
               if file is not None and meant[file] == 1 and file not in taken]
        for index in new:
            self.found[index] = claims[index]
        return new

    def _said(self, name, near):
        whole = self.folder.within(name, near)
        return whole if whole is not None and self.folder.is_file(whole) else None

    def _own(self, name, near):
        """The name itself, from one of the usual folders; without an ending, that of an image."""
        plain = name.replace('\\', '/')
        if plain.startswith('..'):
            return None
        for place in _with_usual([near]):
            inside = self.folder.within(plain, place)
            if inside is None or self.folder.kind(posixpath.dirname(inside)) != 'folder':
                continue
            if self.folder.is_file(inside):
                return inside
            alike = self._stems_in(posixpath.dirname(inside)).get(_stem(plain), ())
            if len(alike) == 1 and not plain.lower().endswith(IMAGES):
                return alike[0]
        return None

    def _guess(self, name, near):
        """The likeliest image that a name may mean."""
        part = part_of_folders(f'{near}/')
        for found in self._meant(name, near):
            # images of other parts often have the same names
            if part is None or part_of_folders(found) in (None, part):
                return found
        return None

    def _meant(self, name, near):
        """Images that a name may mean, the likely ones first."""
        guesses = list(dict.fromkeys([name.replace('\\', '/'), *base_names(name)]))
        homes = self._home(max(map(posixpath.dirname, guesses), key=len), near)
        around = dict.fromkeys((near, posixpath.dirname(near), ''))
        places = homes or _with_usual(around)
        if homes:
            guesses = list(dict.fromkeys(map(posixpath.basename, guesses)))
        for look in (self._file, self._alike):
            for place in places:
                for guess in guesses:
                    found = look(guess, place)
                    if found is not None:
                        yield found
        for guess in guesses if not homes else ():
            base = _normal(posixpath.basename(guess))
            for key in (base, _stem(base)):
                found = self._images().get(key, ())
                if len(found) == 1 and self._may_enter(posixpath.dirname(found[0]), guesses, near):
                    yield found[0]

    def _file(self, guess, place):
        inside = self.folder.within(guess, place)
        return inside if inside is not None and self.folder.is_file(inside) else None

    def _alike(self, guess, place):
        found = self._stems_in(place).get(_stem(guess), ())
        return found[0] if len(found) == 1 else None

    def _may_enter(self, place, guesses, near):
        """Whether an image may be one of a folder that other images are said to lie in."""
        return place not in self._named or (self._named[place] == near
                                            and not any('/' in guess for guess in guesses))

    def _home(self, said, near):
        """The folders that an image cannot lie outside of: that which its name says, or its own."""
        if (said, near) not in self._homes:
            steps = [step for step in said.split('/') if step not in ('', '.', '..')]
            around = _with_usual(dict.fromkeys((near, posixpath.dirname(near), '')))
            there = next((place for start in range(len(steps)) for place in (
                posixpath.join(base, *steps[start:]) for base in around)
                if self.folder.kind(place) == 'folder'), None)
            homes = [] if there is None else _with_usual([there])
            if there is None and near and any(map(self._stems_in, _with_usual([near]))):
                homes = _with_usual([near])
            self._homes[said, near] = homes
        return self._homes[said, near]

    def _stems_in(self, place):
        """Images right in a folder by their name without its ending."""
        if place not in self._stems:
            self._stems[place] = {}
            there = self.folder.kind(place) == 'folder'
            for name in self.folder.files(place, IMAGES) if there else ():
                self._stems[place].setdefault(_stem(name), []).append(name)
        return self._stems[place]

    def _images(self):
        """Images by their name in small letters, with and without its ending."""
        if self._all is None:
            self._all = {}
            for name in self.folder.walk(endings=IMAGES):
                base = _normal(posixpath.basename(name))
                for key in {base, _stem(base)}:
                    self._all.setdefault(key, []).append(name)
        return self._all


def _with_usual(places):
    """Folders, each with those in it that tools keep images in."""
    return [posixpath.join(place, sub).rstrip('/') for place in places
            for sub in ('', *IMAGE_FOLDERS)]


def _normal(name):
    """A name in small letters, and in one form where letters have accents."""
    return composed(name).lower()


def _stem(name):
    """The last part of a name, in small letters, without the ending of an image."""
    base = _normal(posixpath.basename(name))
    root, ending = posixpath.splitext(base)
    return root if ending in IMAGES else base
