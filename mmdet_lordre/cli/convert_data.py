"""``lordre convert-data``."""
import argparse
import os
import shutil
from collections import Counter
from dataclasses import replace

from ..datasets.annotation_rules import STOP, annotation_problems, cleaned
from ..datasets.coco_file import class_names, write_annotations
from ..datasets.formats import FORMATS, WRITERS, CocoData, open_data
from ..datasets.formats.coco_data import OBJECT
from ..datasets.formats.output import Images, new_folder
from ..datasets.image_rules import listed_image_problems
from ..datasets.repairs import Repairs, describe
from ..datasets.units import refuse_other_units
from ..datasets.usable import usable_annotations
from ..errors import UserError
from ..text import plural, printable
from .options import Parser

#: Where formats have the images of a part.
_PLACES = {'yolo': 'images/PART', 'instance-png': 'images/PART', 'labelme': 'PART'}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(
        description='Convert annotations of instances from one format into another, and say what '
                    'does not survive. docs/data.md lists the formats.')
    parser.add_argument('source', metavar='SRC', help='a file or folder of any format')
    parser.add_argument('target', metavar='DST', help='a new folder, or for COCO also a file .json')
    parser.add_argument('--to', choices=['coco', *WRITERS], default='coco',
                        help='format to write (default: coco)')
    parser.add_argument('--from', dest='format', choices=list(FORMATS),
                        help='format of SRC (default: told by looking)')
    parser.add_argument('--images', metavar='DIR', help='images of SRC (default: found near it)')
    parser.add_argument('--part', choices=['train', 'val', 'test'],
                        help='convert this part alone (default: all)')
    parser.add_argument('--class-name', default=OBJECT, metavar='NAME',
                        help=f'class of objects in formats without classes (default: {OBJECT})')
    parser.add_argument('--copy-images', action=argparse.BooleanOptionalAction, default=None,
                        help='copy the images as well (default: for all formats but COCO)')
    parser.add_argument('--skip-bad', action='store_true',
                        help='leave out annotations and images that cannot be used')
    parser.add_argument('--crowd-as-instances', action='store_true',
                        help='take crowd regions (iscrowd=1) as objects')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> str:
    """Convert as the command line says; returns what was written.

    Raises:
        UserError: SRC cannot be read, DST is there already, or there is nothing to convert.
    """
    args = parse_args(argv)
    parts = open_data(args.source, args.images, args.format, args.class_name)
    if args.part:
        if args.part not in parts:
            raise UserError(f'{args.source} has no part {args.part}, only {", ".join(parts)}')
        parts = {args.part: parts[args.part]}
    if args.class_name != OBJECT and not any(
            category.get('name') == args.class_name for part in parts.values()
            for category in part.data['categories']):
        raise UserError(f'--class-name {args.class_name} makes no difference: {args.source} names '
                        'its classes itself')
    single = args.target.lower().endswith('.json')
    if single and args.to != 'coco':
        raise UserError(f'{args.target}: {args.to} data are a folder, not a file')
    if single and len(parts) > 1:
        raise UserError(f'{args.source} has the parts {", ".join(parts)}: give a folder in place '
                        f'of {args.target}, or choose one with --part')
    parts = _same_categories({name: _prepared(part, args) for name, part in parts.items()})
    lost = Counter()
    copied = args.copy_images if args.to == 'coco' else args.copy_images is not False
    if single:
        _write_file(next(iter(parts.values())), args)
    else:
        with new_folder(args.target) as folder:
            if args.to == 'coco':
                _write_folder(parts, folder, copied)
            else:
                WRITERS[args.to](parts, folder, copied, lost)
    objects = sum(len(part.data.get('annotations', ())) for part in parts.values())
    images = sum(len(part.data['images']) for part in parts.values())
    print(f'written: {printable(args.target)} ({plural(images, "image")}, '
          f'{plural(objects, "object")})')
    for what, count in lost.items():
        if count:
            print(f'lost: {count} {what}')
    remedy = ('train with --train-images, or copy them by --copy-images' if args.to == 'coco' else
              f'copy them to where {args.to} data have them, '
              f'{printable(os.path.join(args.target, _PLACES[args.to]))}')
    for folder in () if copied else dict.fromkeys(part.folder for part in parts.values()):
        print(f'its images are in {printable(folder)}: {remedy}')
    if args.to == 'yolo' and 'val' not in parts:
        print('data.yaml: YOLO demands a val part, which is '
              + ('the test part here' if 'test' in parts else 'the training part here'))
    return args.target


def _prepared(part: CocoData, args) -> CocoData:
    """A part, repaired, without what cannot be used."""
    if part.line():
        print(part.line())
    repairs = Repairs(part.data, part.source).make(part.folder)
    if args.crowd_as_instances:
        repairs.take_crowds()
    if repairs.notes:
        print(describe(part.source, repairs.notes))
    data = repairs.data
    class_names(data, part.source)
    if apart := refuse_other_units(data, part.source):
        print(apart)
    problems = [*annotation_problems(data, need_masks=True), *listed_image_problems(data)]
    if data.get('annotations'):
        usable = usable_annotations(data, problems)
        usable.demand_usable(part.source)
        usable.demand_few_crowds(part.source)
    stopping = [problem for problem in problems if problem.treatment == STOP]
    if stopping and not args.skip_bad:
        more = f' (and {len(stopping) - 1} more)' if len(stopping) > 1 else ''
        raise UserError(f'{part.source}: {stopping[0]}{more}; mend it, or leave such entries out '
                        'by --skip-bad')
    if stopping:
        print(f'left out: annotations or images of {printable(part.source)} that cannot be used '
              f'({len(stopping)}), the first: {stopping[0]}')
        data = cleaned(data, stopping)
    return replace(part, _data=data, ann_file=None)


def _same_categories(parts: dict[str, CocoData]) -> dict[str, CocoData]:
    """The parts with one list of categories: that of the first one, and what others have beside."""
    names = list(dict.fromkeys(category['name'] for part in parts.values()
                               for category in part.data['categories']))
    numbers = {name: number for number, name in enumerate(names, 1)}
    if all([c['name'] for c in part.data['categories']] == names for part in parts.values()):
        return parts
    found = {}
    for key, part in parts.items():
        old = {category['id']: numbers[category['name']] for category in part.data['categories']}
        data = dict(part.data, categories=[dict(id=i, name=name) for name, i in numbers.items()])
        if 'annotations' in data:
            data['annotations'] = [dict(annotation, category_id=old[annotation['category_id']])
                                   for annotation in data['annotations']]
        found[key] = replace(part, _data=data)
    return found


def _write_file(part: CocoData, args) -> None:
    target = os.path.abspath(args.target)
    if os.path.lexists(target):
        raise UserError(f'{args.target} already exists and is not overwritten: choose another '
                        'name')
    if not args.copy_images:
        write_annotations(part.data, target)
        return
    folder = target[:-len('.json')]
    with new_folder(folder) as unfinished:
        for _ in Images(part, unfinished):
            pass
    try:
        write_annotations(part.data, target)
    except UserError:
        shutil.rmtree(folder)
        raise


def _write_folder(parts: dict[str, CocoData], folder: str, copy: bool) -> None:
    """mmdet's layout: ``annotations/instances_PART.json``, and ``PART/`` for the images."""
    for name, part in parts.items():
        target = os.path.join(folder, name) if copy else None
        for _ in Images(part, target) if copy else ():
            pass
        write_annotations(part.data, os.path.join(folder, 'annotations', f'instances_{name}.json'))
