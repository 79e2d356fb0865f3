"""A part of the images set aside, so that there is always a figure."""
import os

import numpy as np

from ..config.own_data import OwnData, Part
from ..datasets.coco_file import read_annotations, write_annotations
from ..datasets.file_names import path_inside
from ..datasets.fingerprints import fingerprint_images
from ..datasets.near_duplicates import linked_groups, near_duplicates
from ..datasets.parts import subset
from ..datasets.repairs import Repairs
from ..datasets.sequences import frame_groups
from ..datasets.splitting import balanced_parts, by_version, merged, objects_by_class
from ..text import agree, listed, plural, printable
from .leaks import PIXELS, costs, readable

#: Share of the images that is set aside, and most of them.
SHARE, MOST = 0.2, 500


def set_aside(own: OwnData, folder: str, seed: int = 0, pixels: float = PIXELS
              ) -> tuple[OwnData, str]:
    """Divide training data without validation data.

    Images that show the same picture stay together, and classes are divided alike.

    Args:
        own: With training data alone.
        folder: Where ``train.json`` and ``val.json`` are written.
        seed: The same one sets the same images aside.
        pixels: That are decoded at most to compare images; of more some are compared.

    Returns:
        What to train on and to judge on, and a line about it; the data as they were where there
        are too few images.
    """
    path, images = own.train
    data = Repairs(read_annotations(path), path).make(images).data
    names = [image['file_name'] for image in data['images']]
    sizes = np.array([(image.get('height') or 0, image.get('width') or 0)
                      for image in data['images']])
    compared = readable(costs(sizes, names), pixels, seed)
    paths = np.full(len(names), '', object)
    paths[compared] = [path_inside(images, names[i]) or '' for i in compared]
    prints = fingerprint_images(paths.tolist())
    same = merged(by_version(names), linked_groups(len(names), near_duplicates(prints).images))
    frames = frame_groups(names, prints, same, min(SHARE * len(names), MOST), seed)
    groups = merged(same, frames)
    objects = objects_by_class(data)
    shown = objects.any(1)
    with_objects, numbers = np.unique(groups[shown], return_counts=True)
    if len(with_objects) < 2:
        return own, (f'{printable(path)}: {plural(int(shown.sum()), "image")} with objects '
                     f'{"cannot be divided" if shown.sum() < 2 else "that are the same picture"}: '
                     'nothing is set aside, and there will be no figure')
    share = min(SHARE, MOST / len(names))
    placed = balanced_parts(objects, groups, [1 - share, share], seed)
    if len(np.unique(placed[shown])) < 2:  # a few images, all of which one part would get
        placed = np.where(groups == with_objects[numbers.argmin()], 1, 0)
    files = []
    for number, name in enumerate(('train', 'val')):
        file = os.path.abspath(os.path.join(folder, f'{name}.json'))
        files.append(Part(write_annotations(subset(data, placed == number), file), images))
    aside = [name for name, part in zip(names, placed) if part]
    line = (f'no --val-ann: {len(aside)} of {plural(len(names), "image")} '
            f'{agree(len(aside), "is", "are")} set aside for validation '
            f'({listed(aside, 4)}; seed {seed}; all are listed in {printable(files[1][0])})')
    run_of = np.bincount(frames)[frames]
    if run_of.max() > 1:
        line += (f'; {int((run_of > 1).sum())} that follow each other, as frames of a film do, '
                 f'stay together in runs of up to {run_of.max()}')
    if len(compared) < len(names):
        line += (f'; {len(compared)} of them were compared, so pictures of the others may be on '
                 'both sides')
    return OwnData(files[0], files[1], own.test or files[1], own.classes), line
