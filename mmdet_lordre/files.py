"""Reading files no larger than their kind is, and writing them whole or not at all."""
import errno
import os
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

from .errors import UserError
from .text import plural, printable, quoted

#: Largest files that are read, in bytes. COCO's annotations have 0.5 GB, LVIS's 1.1 GB; the
#: largest published checkpoint of the four families 0.6 GB.
ANNOTATIONS, CHECKPOINT, CONFIG = 4 * 2**30, 16 * 2**30, 16 * 2**20
#: Set to anything in the environment, it lifts these limits.
NO_LIMITS = 'MMDET_LORDRE_NO_SIZE_LIMITS'
#: How the oldest pickles begin, which are texts, too: a container, or a global.
_PICKLED_TEXT = re.compile(rb'\A(?:\(?[dlt]p\d|\(?c[\w.]+\n[\w.]+\n)')
#: What a zip archive ends with: how that begins, its bytes, and those with a comment at most.
_END, _RECORD, _ARCHIVE_END = b'PK\x05\x06', 22, 22 + 2**16
#: What writing fails with where there is no room.
_FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
#: Ending of files that are being written.
UNFINISHED = '.tmp'


def path_text(value: object, name: str) -> str:
    """A path as text.

    Args:
        value: Text or an ``os.PathLike``.
        name: What it was given as.

    Raises:
        UserError: It is something else, or empty.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise UserError(f'{name}: {quoted(value)} is no path: give text or a pathlib.Path')
    if not text.strip():
        raise UserError(f'{name}: the path is empty')
    return text


def refuse_large(path: str | os.PathLike, limit: int) -> None:
    """Refuse a file that is larger than its kind ever is.

    Args:
        path: Of an existing file.
        limit: Bytes.

    Raises:
        UserError: Naming both sizes.
    """
    size = os.path.getsize(path)
    if size > limit and not os.environ.get(NO_LIMITS):
        raise UserError(f'{path} has {size / 2**30:.1f} GiB, more than the {limit / 2**30:.3g} '
                        f'GiB that are read from such a file: set {NO_LIMITS}=1 to read it anyway')


def refuse_checkpoint(path: str | os.PathLike) -> None:
    """Refuse a checkpoint that cannot be read, or should not be.

    Args:
        path: Of an existing file.

    Raises:
        UserError: It is larger than checkpoints are, would grow when it is read, is cut off or
            damaged, or is a text.
    """
    refuse_large(path, CHECKPOINT)
    entries = _entries(path)
    _refuse_packed(path, entries)
    _refuse_damaged(path, entries)
    _refuse_text(path)


def _refuse_packed(path, entries):
    """Refuse an archive that would grow when it is read; ``torch.save`` compresses nothing."""
    if os.environ.get(NO_LIMITS):
        return
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        total = sum(entry.file_size for entry in entries)
        raise UserError(f'{path} refused: it is a compressed archive of {_bytes(total)}, '
                        'which torch.save does not write; unpack and save it again')


def _refuse_damaged(path, entries):
    """Refuse an archive of ``torch.save`` that is cut off, or is not what was written.

    torch compares no checksums: of a file with other bytes in a tensor it makes other weights.
    """
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        begins = file.read(4) == b'PK\x03\x04'
        file.seek(max(0, size - _ARCHIVE_END))
        tail = file.read()
    if not begins:
        # as torch.save ends a file: without a comment
        if tail[-_RECORD:].startswith(_END):
            raise UserError(f'{path} is not a complete checkpoint: its beginning is missing; '
                            'download or copy it again')
        return
    if _END not in tail:
        raise UserError(f'{path} is not a complete checkpoint: it has '
                        f'{_bytes(size)}, whose end is missing or damaged; download or copy '
                        'it again')
    # newer Pythons find no archive in a file with a hole, older ones one that is too large
    if not entries or sum(entry.file_size for entry in entries) > size:
        raise UserError(f'{path} is not a complete checkpoint: it has {_bytes(size)}, and more '
                        'were saved; download or copy it again')
    with zipfile.ZipFile(path) as archive:
        for entry in entries:
            # torch.serialization.set_crc32_options(False) writes none
            if entry.CRC and not _is_whole(archive, entry):
                raise UserError(f'{path} is not a complete checkpoint: {printable(entry.filename)} '
                                'in it is damaged; download or copy it again')


def _entries(path):
    """What is in a zip archive; nothing if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _is_whole(archive, entry):
    try:
        with archive.open(entry) as file:
            while file.read(2**20):
                pass
        return True
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError,
            zlib.error, struct.error):
        return False


def _bytes(size):
    return f'{size / 2**20:.1f} MiB' if size >= 2**20 else plural(size, 'byte')


def _refuse_text(path):
    """Refuse what was saved in place of a checkpoint: nothing, a web page, a pointer of Git LFS, or
    another text."""
    with open(path, 'rb') as file:
        begin = file.read(512)
    if not begin:
        raise UserError(f'{path} is empty: download or copy it again, or take another checkpoint')
    start = begin.removeprefix(b'\xef\xbb\xbf').lstrip().lower()
    if start.startswith((b'<!doctype', b'<html', b'<?xml', b'<head')) or (
            start.startswith(b'<!--') and b'<html' in start):
        raise UserError(f'{path} is a web page, not a checkpoint: download the file itself')
    if start.startswith(b'version https://git-lfs'):
        raise UserError(f'{path} is a pointer of Git LFS, not the file: get it with git lfs pull')
    # pickles of any protocol but the oldest have bytes that no text has
    if all(byte >= 32 or byte in b'\t\n\r' for byte in begin) and not _PICKLED_TEXT.search(begin):
        raise UserError(f'{path} is a text, not a checkpoint: give the file of the weights')


def refuse_overwriting(targets: Iterable[str | os.PathLike], overwrite: bool = False,
                       sources: Iterable[str | os.PathLike | None] = (),
                       option: str = '--overwrite') -> None:
    """Refuse to write over what is there; over what is read from, whatever is asked.

    Args:
        targets: Files that will be written.
        overwrite: Whether earlier files may be replaced (``--overwrite``).
        sources: What the results are made from: files, and folders with all that is in them; None
            and what is not there are passed over.
        option: What whoever is refused may say to have it replaced.

    Raises:
        UserError: Naming the file; a link is replaced in no case.
    """
    read = {identity(path) for path in sources if path} - {None}
    for target in targets:
        if not os.path.lexists(target):
            continue
        whole = os.path.realpath(target)
        if identity(target) in read or any(identity(folder) in read for folder in _above(whole)):
            raise UserError(f'{target} is both an input and an output: choose another name')
        if not overwrite:
            raise UserError(f'{target} already exists: choose another name, or replace it with '
                            f'{option}')
        if os.path.islink(target):
            raise UserError(f'{target} is a link to {os.readlink(target)}, which would be '
                            'overwritten: choose another name, or remove the link')


def _above(path):
    while path != (path := os.path.dirname(path)):
        yield path


def demand_writable(targets: Iterable[str | os.PathLike]) -> None:
    """See that files can be written before hours are spent on what is to be in them.

    Their folders are made, and a megabyte is written there for a moment.

    Args:
        targets: Files.

    Raises:
        UserError: Naming the file that cannot be written, and why.
    """
    for target in targets:
        try:
            folder = os.path.dirname(os.path.abspath(target))
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(2**20))
                file.flush()
        except OSError as error:
            raise UserError(f'{target} cannot be written: {reason(error)}; choose another '
                            'place') from error


def reason(error: OSError) -> str:
    """Why a file cannot be read or written, in words."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return 'there is a file where a folder should be'
    if error.errno == errno.ELOOP:
        return 'it is a link that leads in a circle'
    return error.strerror or type(error).__name__


def is_circle(path: str | os.PathLike) -> bool:
    """Whether a path is a link that leads in a circle, or goes through one."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno == errno.ELOOP
    except ValueError:
        pass
    return False


def identity(path: str | os.PathLike) -> tuple[int, int] | None:
    """What tells a file from all others, however it is called; None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def new_file(path: str | os.PathLike) -> str:
    """Make an empty file beside one that is to be written; returns its name.

    Somebody's own file of such a name stays what it is, also where it is a link.
    """
    for number in count(1):
        name = f'{path}{UNFINISHED}' if number == 1 else f'{path}.{number}{UNFINISHED}'
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return name
        except FileExistsError:
            continue
    raise AssertionError('unreachable')


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[str]:
    """Write to the name that is given, and have it under ``path`` when all is on the disk.

    Args:
        path: Replaced in one step, or left as it was if the block raises.

    Yields:
        A name in the same folder, of an empty file.
    """
    unfinished = new_file(path)
    try:
        yield unfinished
        with open(unfinished, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException as error:
        with suppress(OSError):
            os.remove(unfinished)
        # a full disk does not say whose; reading fails otherwise
        if getattr(error, 'errno', None) in _FULL and error.filename is None:
            error.filename = os.fspath(path)
        raise
    with suppress(OSError):  # not every file system lets a folder be opened
        folder = os.open(os.path.dirname(path) or '.', os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
