"""Files of annotation tools, read with limits: JSON, YAML, XML, text and images of numbers."""
import base64
import binascii
import io
import json
import os
import warnings
import zlib
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
import yaml
from PIL import Image

from ...errors import UserError
from ...files import ANNOTATIONS, refuse_large
from ...text import printable

#: Largest files about a single image (LabelMe's hold the image itself), and largest lists, bytes.
ONE_IMAGE, LIST = 2**28, 2**26
#: Largest packed mask, in bytes when it is unpacked.
_PACKED = 2**26
_UNREADABLE = (Image.DecompressionBombError, OSError, ValueError, SyntaxError, EOFError,
               IndexError, TypeError, KeyError, zlib.error)
_PIECE = 2**20
#: Most pages of a mask; a hostile file has millions.
_PAGES = 10_000


def read_text(path: str, limit: int = LIST) -> str:
    """A file of text.

    Raises:
        UserError: It cannot be read, is too large, or is no text.
    """
    if not os.path.isfile(path):
        raise UserError(f'no such file: {path}')
    refuse_large(path, limit)
    try:
        with open(path, encoding='utf-8-sig') as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is no text in UTF-8: save it so') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error


def read_json(path: str, limit: int = ONE_IMAGE) -> Any:
    """A small JSON file.

    Raises:
        UserError: It cannot be read, or is no JSON.
    """
    try:
        return json.loads(read_text(path, limit))
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is not JSON: {printable(error, 200)}') from error


def read_yaml(path: str, texts: bool = False) -> dict:
    """A YAML file that holds a dictionary; tags that build objects are refused.

    Args:
        path: Of the file.
        texts: Whether values are texts as they are written: ``yes`` is no truth, ``1.0`` no number.

    Raises:
        UserError: It cannot be read, or holds something else.
    """
    text = read_text(path, 2**22)
    try:
        # references to other entries can make a small file grow without end
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise UserError(f'{path} refused: it refers to its own entries (*name); write them out')
        data = yaml.load(text, yaml.BaseLoader if texts else yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f'{path} is not YAML: {printable(" ".join(str(error).split()), 200)}') \
            from error
    if not isinstance(data, dict):
        raise UserError(f'{path} holds no keys and values')
    return data


def yaml_keys(path: str, of: str) -> list[str]:
    """Keys of a dictionary in a file that :func:`read_yaml` reads, in order and as written.

    Of a key that is there twice, which YAML forbids, reading keeps the last without a word.

    Args:
        path: Of the file.
        of: Its key that holds the dictionary.
    """
    node = yaml.compose(read_text(path, 2**22), yaml.BaseLoader)
    return [inner.value for key, value in node.value if key.value == of
            and isinstance(value, yaml.MappingNode) for inner, _ in value.value]


def xml_elements(path: str, tags: tuple[str, ...]) -> Iterator[Element]:
    """The outermost elements of some names, one at a time.

    Entities and document types, which could grow without end or read other files, are refused.

    Args:
        path: Of the file.
        tags: Names of elements.

    Raises:
        UserError: It cannot be read, or is no such XML.
    """
    refuse_large(path, ANNOTATIONS)
    parser, found = expat.ParserCreate(), []
    state = dict(builder=None, depth=0)

    def refuse(*_):
        raise UserError(f'{path} refused: it declares a document type or entities, which '
                        'annotations do not need')

    def start(tag, attributes):
        if state['builder'] is None and tag in tags:
            state.update(builder=TreeBuilder(), depth=0)
        if state['builder'] is not None:
            state['depth'] += 1
            if state['depth'] > 100:
                raise UserError(f'{path} refused: its elements are nested too deeply')
            state['builder'].start(tag, attributes)

    def end(tag):
        if state['builder'] is not None:
            state['builder'].end(tag)
            state['depth'] -= 1
            if not state['depth']:
                found.append(state['builder'].close())
                state['builder'] = None

    def text(data):
        if state['builder'] is not None:
            state['builder'].data(data)
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text
    try:
        with open(path, 'rb') as file:
            while True:
                piece = file.read(_PIECE)
                parser.Parse(piece, not piece)
                yield from found
                found.clear()
                if not piece:
                    return
    except expat.ExpatError as error:
        raise UserError(f'{path} is not XML: {error}') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error


def xml_root(path: str) -> str:
    """Name of the outermost element of an XML file; '' where it is none."""
    found = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, _: found.append(tag)
    try:
        with open(path, 'rb') as file:
            parser.Parse(file.read(4096), False)
    except (expat.ExpatError, OSError):
        pass
    return found[0] if found else ''


def read_labels(path: str) -> np.ndarray:
    """An image whose pixels are numbers.

    Returns:
        (H, W) of whole numbers: indices of a palette, values of one channel, or
        ``red + 256 * green + 65536 * blue``; what is transparent is 0.

    Raises:
        UserError: It cannot be decoded, was stored with losses, or has several pages.
    """
    pages = [labels for labels, _ in read_pages(path, 2)]
    if len(pages) > 1:
        raise UserError(f'{path} has several pages: store each as a file of its own')
    return pages[0]


def read_pages(path: str, most: int | None = None) -> Iterator[tuple[np.ndarray, bool]]:
    """The pages of an image whose pixels are numbers, as :func:`read_labels` gives one.

    Args:
        path: Of the file.
        most: Pages after which it ends; None for all.

    Yields:
        (H, W) of whole numbers, and whether they are indices of a palette.

    Raises:
        UserError: It cannot be decoded, or was stored with losses.
    """
    if path.lower().endswith(('.jpg', '.jpeg')):
        raise UserError(f'{path}: a JPEG keeps no exact numbers: store masks as PNG')
    count = 0
    try:
        with open(path, 'rb') as file, _careful(Image.open, file) as opened:
            for frame in range(_PAGES + 1):
                try:
                    _careful(opened.seek, frame)
                except EOFError:
                    break
                # levels of a pyramid and previews are no pages
                if frame and getattr(opened, 'tag_v2', {}).get(254, 0) & 0b101:
                    continue
                if frame == _PAGES:
                    raise ValueError(f'it has more than {_PAGES} pages')
                _refuse_cut(opened)
                palette = opened.mode == 'P'
                yield _numbers_of(_careful(np.asarray, opened)), palette
                count += 1
                if count == most:
                    break
    except (Image.DecompressionBombWarning, *_UNREADABLE) as error:
        raise UserError(f'{path} cannot be decoded as an image of numbers: '
                        f'{printable(error, 100)}') from error


def _refuse_cut(opened):
    """Refuse what Pillow makes 8 bits of: numbers below 256 would all become 0."""
    said = opened.tile[0][3] if opened.tile else ''
    said = said[0] if isinstance(said, tuple) else said
    if len(opened.getbands()) > 1 and isinstance(said, str) and ';16' in said:
        raise ValueError(f'its {len(opened.getbands())} channels have 16 bits each: store one '
                         'channel of 16 bits')


def _careful(read, given):
    """Read what may be too large: Pillow's warning of it is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter('error', Image.DecompressionBombWarning)
        return read(given)


def _numbers_of(pixels):
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    if pixels.dtype.kind == 'f':
        if not (pixels == np.floor(pixels)).all() or pixels.min() < 0:
            raise ValueError('its values are no whole numbers from 0 on')
        pixels = pixels.astype(np.int64)
    if pixels.dtype.kind == 'i' and pixels.size and pixels.min() < 0:
        raise ValueError('it has negative values')
    if pixels.ndim == 2:
        return pixels
    color = pixels[..., :3].astype(np.int64)
    if pixels.shape[2] == 2:
        labels = color[..., 0]
    else:
        labels = color[..., 0] + 256 * color[..., 1] + 65536 * color[..., 2]
        if (color == color[..., :1]).all():
            labels = color[..., 0]
    if pixels.shape[2] in (2, 4):
        labels = np.where(pixels[..., -1] > 0, labels, 0)
    return labels


def packed_mask(text: str, zipped: bool) -> np.ndarray:
    """A mask that is written as text within JSON.

    Args:
        text: base64 of a PNG.
        zipped: Whether the PNG is compressed once more by zlib.

    Returns:
        (h, w) of booleans: where it is opaque, or where its value is not 0.

    Raises:
        ValueError: It is none, or too large.
    """
    try:
        data = base64.b64decode(text, validate=True)
        if zipped:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(data, _PACKED)
            if unpacker.unconsumed_tail:
                raise ValueError('it grows beyond all measure when it is unpacked')
        with Image.open(io.BytesIO(data)) as opened:
            if opened.size[0] * opened.size[1] > _PACKED:
                raise ValueError('it has too many pixels')
            alpha = 'A' in opened.getbands() or 'transparency' in opened.info
            pixels = np.asarray(opened.convert('RGBA') if alpha else opened)
    except (*_UNREADABLE, binascii.Error) as error:
        raise ValueError(printable(error, 80)) from error
    if alpha and not pixels[..., 3].all():
        return pixels[..., 3] > 0
    pixels = pixels[..., :3] if pixels.ndim == 3 else pixels
    return pixels.any(-1) if pixels.ndim == 3 else pixels > 0
