"""Files of the original repositories, fetched once and kept where torch keeps checkpoints."""
from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.client import HTTPException
from pathlib import Path

import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log

from .rules import ConversionError

# Seconds without a byte after which a server counts as gone.
TIMEOUT = 60
_BLOCK = 2**20
# torch's convention: the first digits of the SHA-256 end the name.
_HASH = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
_DRIVE = re.compile(r'https://drive\.google\.com/file/d/([\w-]+)')


def download(url: str) -> Path:
    """The local copy of a file, fetched unless it is there.

    Nothing is kept of a download that ends early or has another hash than its name says (as
    ``resnet50d_ra2-464e36ba.pth`` does). Of several processes, one fetches.

    Args:
        url: http(s) address; a page of Google Drive stands for the file that it shows.

    Raises:
        ConversionError: The file cannot be fetched: the address, why, and what to do instead.
    """
    source, name = _source(url)
    path = Path(torch.hub.get_dir()) / 'checkpoints' / name
    if get_rank() == 0 and not path.exists():
        _fetch(source, url, path)
    barrier()
    if not path.exists():
        # another machine than the first process's
        _fetch(source, url, path)
    return path


def _source(url: str) -> tuple[str, str]:
    """Where the bytes are, and the name to keep them under."""
    drive = _DRIVE.match(url)
    if drive:
        return ('https://drive.usercontent.google.com/download?export=download&confirm=t&id='
                + drive[1], f'drive-{drive[1]}.pth')
    return url, os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))


def _fetch(source: str, url: str, path: Path) -> None:
    print_log(f'downloading {url} to {path}', logger='current')
    path.parent.mkdir(parents=True, exist_ok=True)
    # beside the target, so that it appears there whole or not at all
    partial = path.with_name(f'.{path.name}.{uuid.uuid4().hex}')
    try:
        with partial.open('wb') as file:
            problem = _copy(source, file, _HASH.search(path.name))
        if problem is None:
            partial.replace(path)
    except urllib.error.HTTPError as error:
        problem = f'the server answers {error.code} {error.reason}'
    except (OSError, HTTPException, ValueError) as error:
        problem = str(getattr(error, 'reason', error)) or type(error).__name__
    finally:
        partial.unlink(missing_ok=True)
    if problem is not None:
        raise ConversionError(f'{url}: not downloaded: {problem}; get the file by hand and give '
                              'published://PATH, or convert it with tools/convert_checkpoint.py')


def _copy(source: str, file, expected: re.Match | None) -> str | None:
    """Copy an address into an open file; what is wrong with it, if anything."""
    digest, count = hashlib.sha256(), 0
    request = urllib.request.Request(source, headers={'User-Agent': 'mmdet_lordre'})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        if response.headers.get_content_type() == 'text/html':
            return 'the server sent a web page instead of a file'
        length = response.headers.get('Content-Length')
        while block := response.read(_BLOCK):
            file.write(block)
            digest.update(block)
            count += len(block)
    if length is not None and count != int(length):
        return f'it ended after {count} of {length} bytes'
    if expected and not digest.hexdigest().startswith(expected[1]):
        return (f'its SHA-256 begins with {digest.hexdigest()[:len(expected[1])]}, not with '
                f'{expected[1]} as its name says')
    return None
