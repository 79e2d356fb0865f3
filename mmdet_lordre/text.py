"""Text from data and files, made safe for a terminal."""
from collections.abc import Sequence

_SHORT = {'\n': '\\n', '\r': '\\r', '\t': '\\t'}


def printable(text: object, limit: int | None = None) -> str:
    """Text in one line, without characters that act on a terminal: they are shown as escapes.

    Args:
        text: Anything; ``str`` of it is taken.
        limit: Characters that are kept at most; the middle is left out.
    """
    try:
        text = str(text)
    except (RecursionError, ValueError):  # nested or long beyond what Python writes
        text = f'a {type(text).__name__} that is too large to be shown'
    if limit is not None and len(text) > limit:
        text = f'{text[:limit - 20]}...{text[-16:]}'
    if not text.isprintable():
        text = ''.join(c if c.isprintable() else _escape(c) for c in text)
    return text


def quoted(value: object, limit: int = 60) -> str:
    """A value as Python writes it, text in quotes: :func:`printable` of its ``repr``."""
    return f"'{printable(value, limit)}'" if isinstance(value, str) else printable(value, limit)


def plural(count: int, word: str) -> str:
    """``'1 image'``, ``'2 images'``, ``'3 classes'``, ``'4 boxes'``."""
    if count != 1:
        word += 'es' if word.endswith(('s', 'x')) else 's'
    return f'{count} {word}'


def with_article(word: str) -> str:
    """``'a cat'``, ``'an object'``."""
    return f'{"an" if word[:1].lower() in tuple("aeiou") else "a"} {word}'


def agree(count: int, one: str, more: str) -> str:
    """The form of a verb or pronoun that goes with a count: ``agree(1, 'is', 'are')``."""
    return one if count == 1 else more


def columns(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Lines of a table, two spaces between its columns.

    Args:
        rows: Its cells, as many in each row.
        sides: Of each column, ``<`` or ``>``: whether its cells begin or end at one place.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ['  '.join(f'{cell:{side}{width}}' for cell, side, width in
                      zip(row, sides, widths, strict=True)).rstrip() for row in rows]


def listed(names: object, limit: int = 6) -> str:
    """The first names of a list, with commas; ``...`` when there are more."""
    names = [printable(name, 40) for name in names]
    return ', '.join(names[:limit]) + (', ...' if len(names) > limit else '')


def _escape(character: str) -> str:
    code = ord(character)
    return (_SHORT.get(character) or (f'\\x{code:02x}' if code < 2**8 else
                                      f'\\u{code:04x}' if code < 2**16 else f'\\U{code:08x}'))
