"""The files that an annotation file means, however the tool that wrote it names them."""
import os
import re
import stat
import unicodedata
from collections import Counter
from urllib.parse import unquote

#: Ids of Label Studio's uploads, which it puts before the names of files.
_UPLOAD = re.compile(r'^[0-9a-f]{8}-')
#: What leads to the top of all folders, or above a folder.
_ABOVE = re.compile(r'^(\.{0,2}/+)+')
_ADDRESS = re.compile(r'^[a-z][a-z0-9+.-]*://[^/]*/?', re.IGNORECASE)
#: What messages call the options for the folder of the images.
IMAGES_OPTIONS = '--train-images / --val-images (--images)'


class Listing:
    """What lies in a folder and the folders in it: each is listed once, not asked for each file.

    Args:
        folder: What names are relative to.
    """

    def __init__(self, folder: str):
        self.folder = folder
        self._places: dict[str, dict[str, bool]] = {}
        self._spelling: dict[str, dict[str, list[str]]] = {}

    def path(self, name: str) -> str:
        """Where a name leads."""
        return os.path.join(self.folder, name)

    def spelled(self, name: str) -> str | None:
        """A name as the folder has it; None where that is not plain.

        Its last part may differ in the form in which letters have their accents, or in case too.
        """
        place, base = os.path.split(self.path(name))
        self.look(name)
        if place not in self._spelling:
            found: dict[str, list[str]] = {}
            for entry in self._places[place]:
                form = composed(entry)
                for key in {form, form.lower()}:
                    found.setdefault(key, []).append(entry)
            self._spelling[place] = found
        base = composed(base)
        alike = [entry for entry in self._spelling[place].get(base, ())
                 if composed(entry) == base] or self._spelling[place].get(base.lower(), ())
        return os.path.join(os.path.dirname(name), alike[0]) if len(alike) == 1 else None

    def look(self, name: str) -> bool | None:
        """True for a file, False for what is none (a folder, a pipe), None for nothing."""
        place, base = os.path.split(self.path(name))
        if place not in self._places:
            self._places[place] = _entries(place)
        return self._places[place].get(base)


def plain_name(name: object) -> object:
    """A name without detours (``./a.jpg``, ``x//a.jpg``); what is no text is left as it is."""
    return os.path.normpath(name) if isinstance(name, str) else name


def composed(name: str) -> str:
    """A name in the form in which a letter and its accent are one; Macs store them apart."""
    return name if name.isascii() else unicodedata.normalize('NFC', name)


def _entries(place: str) -> dict[str, bool]:
    try:
        with os.scandir(place or '.') as entries:
            return {entry.name: _is_file(entry) for entry in entries}
    except (OSError, ValueError):
        return {}


def _is_file(entry: os.DirEntry) -> bool | None:
    try:
        if not entry.is_symlink():
            return entry.is_file()
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:  # a link to nothing
        return None


def leads_out(folder: str, name: str) -> bool:
    """Whether a name, joined to a folder, is a path outside of it (links are not followed)."""
    if '..' not in name and not os.path.isabs(name):
        return False
    inside = os.path.join(os.path.abspath(folder), '')
    return not os.path.abspath(os.path.join(folder, name)).startswith(inside)


def path_inside(folder: str, name: str, follow_links: bool = True) -> str | None:
    """Path of a file that lies in a folder, None for a name that no file in it can have.

    Args:
        folder: What the name is relative to.
        name: As an annotation file gives it.
        follow_links: Whether a link may lead out of the folder.
    """
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # half of a character, which JSON may hold
        return None
    if '\0' in name or leads_out(folder, name):
        return None
    path = os.path.join(folder, name)
    inside = os.path.join(os.path.realpath(folder), '')
    return path if follow_links or os.path.realpath(path).startswith(inside) else None


def path_of_url(address: str) -> str:
    """Path of an address, without its server, query and escapes."""
    return unquote(_ADDRESS.sub('', address).partition('?')[0])


def base_names(name: str) -> list[str]:
    """What a file may be called where an annotation tool wrote a path or an address.

    ``images\\0.jpg``, ``../images/0.jpg``, ``/data/upload/1/abc-0.jpg``,
    ``/data/local-files/?d=images/0.jpg``, ``http://localhost:8080/x/0.jpg``: the path with the
    system's separators, then its last part, with and without an upload's prefix.
    """
    plain = name.replace('\\', '/')
    if '?d=' in plain:  # Label Studio's files on its own disk
        plain = unquote(plain.partition('?d=')[2])
    elif '://' in plain:
        plain = path_of_url(plain)
    last = plain.rsplit('/', 1)[-1]
    inside = _ABOVE.sub('', plain)
    candidates = [inside, unquote(inside), last, _UPLOAD.sub('', last), unquote(last)]
    return [c for c in dict.fromkeys(candidates) if c and c != name]


def names_found(folder: str, names: list[str]) -> list[str | None]:
    """For each file name the name under which the file lies in a folder, None if it does not.

    A name that leads nowhere, or out of the folder, is looked for by :func:`base_names`, and taken
    where no other entry of the list means the same file. Where the folder in a name exists, its
    file is not looked for in another.

    Args:
        folder: Of the images.
        names: As the annotations have them.
    """
    listing = Listing(folder)
    found = [None if leads_out(folder, name) or listing.look(name) is None else name
             for name in names]
    lost = [index for index, name in enumerate(found) if name is None]
    if lost:
        taken = {name for name in found if name is not None}
        guesses = {index: _guess(listing, names[index]) for index in lost}
        meant = Counter(guess for guess in guesses.values() if guess is not None)
        for index, guess in guesses.items():
            if guess is not None and meant[guess] == 1 and guess not in taken:
                found[index] = guess
    return found


def _guess(listing, name):
    """The file that a name means, by its other forms, and in other case."""
    inside = [form for form in (name, *base_names(name)) if not leads_out(listing.folder, form)]
    if inside and (home := os.path.dirname(inside[0])) and os.path.isdir(listing.path(home)):
        inside = [form for form in inside if os.path.dirname(form) == home]
    exact = next((form for form in inside if listing.look(form)), None)
    if exact is not None:
        return exact
    spelled = (listing.spelled(form) for form in inside)
    return next((form for form in spelled if form is not None and listing.look(form)), None)
