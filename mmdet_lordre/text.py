"""Text from data and files, made safe for a terminal."""

#: Characters of a name that a message shows.
SHOWN = 120


def printable(text: object, limit: int | None = None) -> str:
    """Text without characters that act on a terminal: they are shown as escapes.

    Args:
        text: Anything; ``str`` of it is taken.
        limit: Characters that are kept at most; the middle is left out.
    """
    text = str(text)
    if not text.isprintable():
        text = ''.join(c if c.isprintable() or c in '\n\t' else _escape(c) for c in text)
    if limit is not None and len(text) > limit:
        text = f'{text[:limit - 20]}...{text[-16:]}'
    return text


def _escape(character: str) -> str:
    code = ord(character)
    return f'\\x{code:02x}' if code < 256 else f'\\u{code:04x}'


def plural(count: int, word: str) -> str:
    """``'1 image'``, ``'2 images'``."""
    return f'{count} {word}' + ('' if count == 1 else 's')


def listed(names: object, limit: int = 6) -> str:
    """The first names of a list, with commas; ``...`` when there are more."""
    names = [printable(name, 40) for name in names]
    return ', '.join(names[:limit]) + (', ...' if len(names) > limit else '')
