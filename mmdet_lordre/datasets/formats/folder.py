"""A folder that came from elsewhere: what lies in it is read, what lies outside is not."""
import os
import posixpath
from collections.abc import Iterator

from ...errors import UserError
from ...files import is_circle
from ...text import printable

#: Endings of images that OpenCV reads.
IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.jp2', '.ppm', '.pgm')
#: Folders of images, as tools call them.
IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'JPEGImages', 'photos', 'frames', 'raw')
#: What systems leave behind in folders and archives.
_LITTER = ('__MACOSX', 'Thumbs.db', 'desktop.ini')
_FILE, _FOLDER, _LINKED, _OUTSIDE = 'file', 'folder', 'linked', 'outside'


class Folder:
    """Names are relative to the folder, with ``/``; each folder in it is listed once.

    Args:
        path: Of the folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.path.abspath(path)
        self._real = os.path.realpath(path)
        self._lists: dict[str, dict[str, str]] = {}

    def kind(self, name: str) -> str | None:
        """'file', 'folder', 'outside' (a link that leads there) or None for nothing."""
        if name in ('', '.'):
            return _FOLDER
        parent, base = posixpath.split(name)
        if parent and self.kind(parent) != _FOLDER:
            return _OUTSIDE if self.kind(parent) == _OUTSIDE else None
        found = self._list(parent).get(base)
        return _FOLDER if found == _LINKED else found

    def is_file(self, name: str) -> bool:
        """Whether there is a file of that name.

        Raises:
            UserError: It is a link that leads out of the folder.
        """
        return self._is(name, _FILE)

    def is_folder(self, name: str) -> bool:
        """Whether there is a folder of that name.

        Raises:
            UserError: It is a link that leads out of the folder.
        """
        return self._is(name, _FOLDER)

    def _is(self, name, kind):
        found = self.kind(name)
        if found == _OUTSIDE:
            path = self.join(name)
            raise UserError(f'{path} is a link out of {self.path}, to {os.path.realpath(path)}: '
                            'nothing is read there; give the folder that holds both, or copy it')
        return found == kind

    def join(self, name: str) -> str:
        """Path of a name."""
        return os.path.join(self.path, *name.split('/')) if name else self.path

    def files(self, sub: str = '', endings: tuple[str, ...] | None = None) -> list[str]:
        """Names of the files right in a folder, in order.

        Args:
            sub: Name of the folder.
            endings: In small letters; None for any.
        """
        return [posixpath.join(sub, base) for base in self._list(sub)
                if (endings is None or base.lower().endswith(endings))
                and self.is_file(posixpath.join(sub, base))]

    def folders(self, sub: str = '') -> list[str]:
        """Names of the folders right in a folder, in order; links could go round in circles."""
        return [posixpath.join(sub, base) for base, kind in self._list(sub).items()
                if kind == _FOLDER]

    def walk(self, sub: str = '', endings: tuple[str, ...] | None = None,
             depth: int = 12) -> Iterator[str]:
        """Names of the files in a folder and the folders in it.

        Args:
            sub: A folder in this one, by its path from here.
            endings: Of files, in lower case; None for all.
            depth: Folders inside each other, at most.
        """
        yield from self.files(sub, endings)
        for folder in self.folders(sub) if depth else ():
            yield from self.walk(folder, endings, depth - 1)

    def within(self, name: str, near: str = '') -> str | None:
        """A name that is relative to a folder in this one; None if it leads out of it.

        Args:
            name: As a file says it: with either separator, perhaps the whole path.
            near: Name of the folder.
        """
        name = name.replace('\\', '/')
        if name.startswith('/') or name[1:3] == ':/' or '\0' in name:
            here = self.path.replace(os.sep, '/') + '/'
            if not name.startswith(here):
                return None
            name, near = name[len(here):], ''
        whole = posixpath.normpath(posixpath.join(near, name))
        return None if whole.startswith('../') or whole == '..' else whole

    def _list(self, sub):
        if sub not in self._lists:
            try:
                with os.scandir(self.join(sub)) as entries:
                    found = {entry.name: self._kind_of(entry) for entry in entries
                             if not entry.name.startswith('.') and entry.name not in _LITTER}
            except OSError as error:
                raise UserError(f'{self.join(sub)} cannot be read: {error.strerror}') from error
            self._lists[sub] = {name: found[name] for name in sorted(found)}
        return self._lists[sub]

    def _kind_of(self, entry):
        if entry.is_symlink():
            if is_circle(entry.path):
                return ''
            real = os.path.realpath(entry.path)
            if real != self._real and not real.startswith(self._real.rstrip(os.sep) + os.sep):
                return _OUTSIDE
            return _LINKED if entry.is_dir() else _FILE if entry.is_file() else ''
        return _FOLDER if entry.is_dir() else _FILE if entry.is_file() else ''

    def sample(self, count: int = 6) -> str:
        """The first names in the folder, for messages."""
        names = [name + ('/' if kind in (_FOLDER, _LINKED) else '')
                 for name, kind in self._list('').items()]
        more = ', ...' if len(names) > count else ''
        return ', '.join(printable(name, 40) for name in names[:count]) + more or 'nothing'
