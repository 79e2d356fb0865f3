"""The same picture in two places: twice in a part of a data set, or in two parts of it."""
import os
from collections.abc import Mapping

import numpy as np

from ..text import printable
from .annotation_rules import Problem
from .file_names import path_inside
from .fingerprints import Fingerprints, fingerprint_images
from .near_duplicates import linked_groups, near_duplicates


def pictures_twice(parts: Mapping[str, tuple[dict, str]], look: bool = True
                   ) -> dict[str, list[Problem]]:
    """Find images that show the same picture.

    Args:
        parts: Annotations with mended names, and the folder of their images, by the name of the
            part. What is in two parts is said of the later one.
        look: Whether the images are read; else only files that are named twice are found.

    Returns:
        Problems of images ('in another part' or 'same picture twice') of each part.
    """
    names = list(parts)
    images = [(name, index, image['file_name']) for name, (data, _) in parts.items()
              for index, image in enumerate(data['images'])]
    paths = [_path(parts[name][1], file) for name, _, file in images]
    if look:
        prints = fingerprint_images([path or '' for path in paths])
    else:
        empty = np.zeros((len(paths), 1, 1), np.float16)
        prints = Fingerprints(empty, np.zeros(len(paths), bool), [b''] * len(paths))
    # one file is one picture, also where it cannot be read
    prints.digests = [os.path.realpath(path).encode(errors='surrogateescape')
                      if path and not digest else digest
                      for path, digest in zip(paths, prints.digests, strict=True)]
    pairs = near_duplicates(prints)
    groups = linked_groups(len(images), pairs.images)
    ways = {tuple(pair): pairs.how(at) for at, pair in enumerate(pairs.images.tolist())}
    found = {name: [] for name in names}
    members: dict[int, list[int]] = {}
    for at in np.flatnonzero(np.bincount(groups, minlength=1)[groups] > 1).tolist():
        earlier = members.setdefault(int(groups[at]), [])
        name, index, file = images[at]
        others = [k for k in earlier if images[k][0] != name] or \
            [k for k in earlier if paths[k] != paths[at]]
        if others:
            # that of the group which it was compared with, if any
            other = next((k for k in others if (k, at) in ways), others[0])
            away = images[other][0] != name
            where = f'{printable(images[other][2], 120)}' + (f' of {images[other][0]}' * away)
            how = ways.get((other, at), 'the same picture')
            found[name].append(Problem(
                'in another part' if away else 'same picture twice',
                f'image {printable(file, 120)}', f'it is {how} as {where}', index, True))
        if len(earlier) < 50:  # of thousands of frames of a still camera a few are enough
            earlier.append(at)
    return found


def _path(folder, file):
    path = path_inside(folder, file)
    return None if path is None else os.path.abspath(path)


