"""Templates to one HTML file that opens from disk and asks nobody for anything."""
import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from ..errors import UserError
from ..files import atomic_write, reason
from ..text import plural, printable

#: Templates that all pages share: ``base.html``, ``base.css``, ``base.js``.
TEMPLATES = Path(__file__).parent / 'templates'


def render(template: str, folder: str | Path, **values: Any) -> str:
    """An HTML page from a template that extends ``base.html``.

    Whatever the values contain is shown, never run: everything is escaped, control characters
    appear as escapes (``{{ name | shown }}``), and the page's own policy forbids all scripts but
    those of the templates, and every address on the network.

    A page of its own has these blocks of ``base.html`` to fill: ``title``, ``header``, ``main``
    and ``style``. ``NAME.js`` beside ``NAME.html`` is put into the page; data reach it by
    ``{{ json_block('id', value) }}``.

    Args:
        template: Name of the file, such as ``'report.html'``.
        folder: Where it lies, with what it includes.
        values: Variables of the template; one that is missing is an error.

    Returns:
        The page.
    """
    folder = Path(folder)
    scripts = [(TEMPLATES / 'base.js').read_text(encoding='utf-8')]
    own = folder / f'{Path(template).stem}.js'
    if own.exists():
        scripts.append(own.read_text(encoding='utf-8'))
    policy = _policy(scripts)
    environment = _environment(folder)
    return environment.get_template(template).render(
        page_scripts=scripts, page_policy=policy, **values)


def write_page(path: str | Path, template: str, folder: str | Path, **values: Any) -> int:
    """Render a page into a file, whole or not at all; returns its bytes.

    Args:
        path: The file; its folder is made.
        template, folder, values: As of :func:`render`.

    Raises:
        UserError: The file cannot be written.
    """
    text = render(template, folder, **values).encode('utf-8', 'backslashreplace')
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with atomic_write(str(path)) as name, open(name, 'wb') as file:
            file.write(text)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {reason(error)}') from error
    return len(text)


def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([str(folder), str(TEMPLATES)], encoding='utf-8'),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters['shown'] = printable
    environment.filters['figure'] = figure
    environment.globals.update(plural=plural, json_block=json_block)
    return environment


def figure(value: float | None, digits: int = 3) -> str:
    """A number of a table; an en dash where there is none (None, NaN, or COCO's -1)."""
    if value is None or value != value or value == -1:
        return '\N{EN DASH}'
    return f'{value:.{digits}f}'


def json_block(name: str, value: Any) -> Markup:
    """Data for a page's script: ``JSON.parse(document.getElementById(name).textContent)``.

    Args:
        name: Id of the element.
        value: What JSON has; NaN and infinity are none of it.

    Raises:
        ValueError: A number that is not finite.
    """
    return Markup('<script type="application/json" id="{}">{}</script>').format(
        name, htmlsafe_json_dumps(value, json.dumps, allow_nan=False, separators=(',', ':')))


def _policy(scripts: list[str]) -> str:
    """Content security policy: these scripts, pictures inside the page, and nothing else."""
    hashes = ' '.join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
            "img-src data:; base-uri 'none'; form-action 'none'")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
