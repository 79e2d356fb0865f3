"""``lordre split``."""
import argparse
import os
import shlex

import numpy as np

from ..datasets.annotation_rules import category_name
from ..datasets.coco_file import write_annotations
from ..datasets.file_names import path_inside
from ..datasets.fingerprints import fingerprint_images
from ..datasets.formats import FORMATS, open_data
from ..datasets.near_duplicates import linked_groups, near_duplicates
from ..datasets.parts import in_one, mended, subset
from ..datasets.repairs import describe
from ..datasets.sequences import frame_groups
from ..datasets.splitting import (
    balanced_parts,
    by_folder,
    by_pattern,
    by_version,
    merged,
    objects_by_class,
)
from ..errors import UserError
from ..text import columns, plural, printable, quoted
from .options import Parser, whole_number

#: Classes in the table: those that are divided worst.
_ROWS = 20


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(
        description='Divide a data set into training, validation and test parts, balanced by '
                    'class. The same picture, also stored again, resized or mirrored, is never '
                    'in two parts; frames of a film are divided in runs.',
        epilog='Writes COCO files. Images stay where they are, and no file is overwritten.')
    parser.add_argument('ann', metavar='ANN', help='annotations: a file or folder of any format '
                                                   'in docs/data.md; all parts of it are '
                                                   'merged and split again')
    parser.add_argument('images', nargs='?', help='folder of the images (default: found near '
                                                  'the annotations)')
    parser.add_argument('--out', required=True, metavar='FOLDER',
                        help='for train.json, val.json and test.json, or fold1_train.json, '
                             'fold1_val.json, ...')
    how = parser.add_mutually_exclusive_group()
    how.add_argument('--val', type=_share, metavar='SHARE',
                     help='part of the images for validation, 0 to 1 (default: 0.2)')
    how.add_argument('--folds', type=int, metavar='K',
                     help='K pairs of files instead: each image is for validation in one of them')
    parser.add_argument('--test', type=_share, default=0.0, metavar='SHARE',
                        help='part of the images for a test (default: none)')
    parser.add_argument('--group', action='append', default=[], metavar='HOW',
                        help='keep images together: by "folder", or by a regular expression on '
                             "file names, such as 'patient(\\d+)'; may be given several times")
    parser.add_argument('--no-near-duplicates', action='store_true',
                        help='do not look for images that show the same picture or follow each '
                             'other as frames of a film do')
    parser.add_argument('--seed', type=whole_number(0), default=0,
                        help='the same seed gives the same parts (default: 0)')
    parser.add_argument('--format', choices=list(FORMATS), help='of ANN (default: found)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict[str, str]:
    """Divide as the command line says; returns the files that were written, by their names.

    Raises:
        UserError: The data cannot be read, too few images for the parts, or a file is there.
    """
    args = parse_args(argv)
    shares = _shares(args)
    parts = open_data(args.ann, args.images, args.format)
    mended_parts = {}
    for name, part in parts.items():
        if part.line():
            print(part.line())
        data, notes = mended(part)
        if notes:
            print(describe(part.source, notes))
        mended_parts[name] = data, part.folder
    data, folder, _ = in_one(mended_parts)
    if len(parts) > 1:
        print(f'{printable(args.ann)}: the parts {", ".join(parts)} are merged and split again')
    groups = _groups(data, folder, args, min(shares.values()))
    count, kinds = len(data['images']), int(groups.max()) + 1
    if kinds < len(shares):
        raise UserError(f'{args.ann}: {plural(count, "image")} in {plural(kinds, "group")} cannot '
                        f'be divided into {len(shares)} parts')
    objects = objects_by_class(data)
    placed = balanced_parts(objects, groups, list(shares.values()), args.seed)
    empty = [name for number, name in enumerate(shares) if not (placed == number).any()]
    if empty:
        raise UserError(f'{args.ann}: no image is left for {", ".join(empty)} of '
                        f'{plural(count, "image")} in {plural(kinds, "group")}, the largest of '
                        f'{np.bincount(groups).max()}: give it a larger share, or group less')
    print(_table(data, objects, placed, list(shares)))
    return _write(data, folder, placed, list(shares), args)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is no share between 0 and 1')
    return value


def _shares(args) -> dict[str, float]:
    if args.folds is not None:
        if args.folds < 2:
            raise UserError(f'--folds: {args.folds} is no number of folds: 2 or more')
        if args.test:
            raise UserError('--folds and --test: split off the test part first, then make folds of '
                            'the rest')
        return {f'fold{number}': 1 / args.folds for number in range(1, args.folds + 1)}
    val = 0.2 if args.val is None else args.val
    if val + args.test >= 1:
        raise UserError(f'--val {val:g} and --test {args.test:g} leave nothing to train on')
    shares = dict(train=1 - val - args.test, val=val)
    return dict(shares, test=args.test) if args.test else shares


def _groups(data, folder, args, smallest) -> np.ndarray:
    """Group of each image, and a line for whatever makes groups."""
    names = [image['file_name'] for image in data['images']]
    groupings = [np.arange(len(names))]

    def group(found, what):
        together = int((np.bincount(found)[found] > 1).sum())
        if together:
            print(f'kept together: {plural(together, "image")} in '
                  f'{plural(int((np.bincount(found) > 1).sum()), "group")} {what}')
        groupings.append(found)

    for how in args.group:
        if how == 'folder':
            group(by_folder(names), 'of one folder')
            continue
        found, without = by_pattern(names, how)
        if without == len(names):
            raise UserError(f'--group {how}: no file name has it, the first is {quoted(names[0])}')
        group(found, f'by {printable(how, 60)}')
        if without:
            print(f'{plural(without, "file name")} without {printable(how, 60)}: each alone')
    group(by_version(names), 'that Roboflow made of one photograph')
    if not args.no_near_duplicates:
        prints = fingerprint_images([path_inside(folder, name) or '' for name in names])
        unread = sum(not digest for digest in prints.digests)
        if unread:
            print(f'{plural(unread, "image")} cannot be read, and cannot be compared with others '
                  '(lordre check lists them)')
        group(linked_groups(len(names), near_duplicates(prints).images),
              'that show the same picture')
        group(frame_groups(names, prints, merged(*groupings), smallest * len(names)),
              'that follow each other, as frames of a film do')
    return merged(*groupings)


def _table(data, objects, placed, names) -> str:
    """How many images and objects of each class the parts have."""
    counts = np.stack([objects[placed == number].sum(0) for number in range(len(names))])
    images = np.bincount(placed, minlength=len(names))
    parts = counts / np.maximum(counts.sum(0), 1)
    worst = np.abs(parts - (images / images.sum())[:, None]).max(0) * (counts.sum(0) > 0)
    classes = [printable(category_name(category), 30) for category in data['categories']]
    shown = np.argsort(-worst, kind='stable')[:_ROWS]
    rows = [['', *names], ['images', *map(str, images)],
            ['objects', *map(str, counts.sum(1))]]
    rows += [[classes[c], *(f'{counts[p, c]} ({100 * parts[p, c]:.0f} %)'
                            for p in range(len(names)))] for c in shown]
    lines = columns(rows, '<' + '>' * len(names))
    if len(classes) > _ROWS:
        lines.append(f'and {plural(len(classes) - _ROWS, "other class")}, divided more evenly')
    lacking = [f'{names[p]} has no {classes[c]}' for c in range(len(classes))
               for p in range(len(names)) if counts[:, c].any() and not counts[p, c]]
    if lacking:
        lines.append('; '.join(lacking[:10]) + ('; ...' if len(lacking) > 10 else ''))
    return '\n'.join(lines)


def _write(data, folder, placed, names, args) -> dict[str, str]:
    chosen = {}
    for number, name in enumerate(names):
        if args.folds is None:
            chosen[name] = placed == number
        else:
            chosen |= {f'{name}_train': placed != number, f'{name}_val': placed == number}
    files = {name: os.path.abspath(os.path.join(args.out, f'{name}.json')) for name in chosen}
    there = next((path for path in files.values() if os.path.lexists(path)), None)
    if there is not None:
        raise UserError(f'{there} already exists: choose another --out')
    for name, path in files.items():
        write_annotations(subset(data, chosen[name]), path)
    print(f'written to {printable(args.out)}: {", ".join(f"{name}.json" for name in files)}')
    # lines to be copied, from wherever one goes on
    train, val, images = (shlex.quote(printable(os.path.abspath(path)))
                          for path in (*list(files.values())[:2], folder))
    print('go on with one of:\n'
          f'lordre plan {train} --images {images} --val {val} --val-images {images}')
    for how in ('--auto', 'CONFIG'):
        print(f'lordre train {how} --train-ann {train} --val-ann {val} '
              f'--train-images {images} --val-images {images}')
    return files
