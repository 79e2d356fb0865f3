"""Changes of the files of an export, whatever its format; a quirk is made of them."""
import gzip
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from .scene import HEIGHT, WIDTH, text

#: What becomes of a quirk that training takes.
OK = None


def each_text(change):
    """A quirk of all files of text."""
    def apply(root):
        for path in root.rglob('*'):
            if path.suffix in ('.json', '.txt', '.yaml', '.xml'):
                path.write_bytes(change(path.read_bytes()))
    return apply


def edit(pattern, change):
    """A quirk of the JSON files of a name; the change gets what they hold."""
    def apply(root):
        paths = sorted(root.rglob(pattern))
        assert paths, pattern
        for path in paths:
            data = json.loads(path.read_text())
            data = change(data) or data
            path.write_text(json.dumps(data))
    return apply


def replace(pattern, before, after):
    """A quirk of files of text: some text in place of other."""
    def apply(root):
        paths = sorted(root.rglob(pattern))
        assert paths, pattern
        for path in paths:
            content = path.read_text()
            assert re.search(before, content), before
            path.write_text(re.sub(before, after, content))
    return apply


def every(key, change):
    """A change of every entry of a list in a COCO file."""
    def apply(data):
        for entry in data[key]:
            change(entry)
    return apply


def spread(**values):
    return lambda entry: entry.update(values)


def drop(*keys):
    return lambda entry: [entry.pop(key, None) for key in keys] and None


def as_text(*keys):
    return lambda entry: entry.update({key: str(entry[key]) for key in keys if key in entry})


def litter(root):
    """What a Mac leaves in archives."""
    text(root / '__MACOSX' / '._a.json', '\0\5\26\7')
    for folder in [root, *(p for p in root.rglob('*') if p.is_dir())]:
        text(folder / '._x.jpg', '\0\5\26\7')
        text(folder / '.DS_Store', 'x')
        text(folder / 'Thumbs.db', 'x')


def upper(root):
    """Endings in capitals, as cameras write them."""
    for path in root.rglob('*.jpg'):
        path.rename(path.with_suffix('.JPG'))


def missing(root):
    next(iter(sorted(root.rglob('*.jpg')))).unlink()


def cut(root):
    path = sorted(root.rglob('*.jpg'))[0]
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(
        path, quality=95)
    path.write_bytes(path.read_bytes()[:1500])


def gray(root):
    for path in root.rglob('*.jpg'):
        Image.new('L', (WIDTH, HEIGHT)).save(path)


def zipped(root):
    for path in root.rglob('*.json'):
        Path(f'{path}.gz').write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def nothing(root):
    pass
