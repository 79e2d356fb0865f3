"""``lordre check``."""
import argparse
import json
import os

from ..datasets.annotation_rules import KINDS, Problem, cleaned
from ..datasets.checking import CheckedPart, check_between, check_part
from ..datasets.coco_file import write_annotations
from ..datasets.formats import CocoData, open_data
from ..errors import UserError
from ..files import refuse_overwriting
from ..text import columns, printable
from .options import Parser, whole_number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(
        description='Find everything in a data set that training stops at, leaves out or '
                    'treats in a way of its own, what is doubtful, and pictures that are in two '
                    'parts. Every image is decoded.',
        epilog='Status 0: training would start; 1: it would stop, or the data cannot be read. '
               'With --clean 0 once OUT.json is written.')
    parser.add_argument('ann', metavar='ANN', help='annotations: a file or folder of any format '
                                                   'in docs/data.md')
    parser.add_argument('images', nargs='?', help='folder of the images (default: found near '
                                                  'the annotations)')
    parser.add_argument('--val-ann', metavar='ANN', help='annotations of a second part, to be '
                                                         'compared with the first')
    parser.add_argument('--val-images', metavar='DIR', help='default: found near --val-ann')
    parser.add_argument('--clean', metavar='OUT.json',
                        help='write the annotations without what cannot or will not be used')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT.json')
    parser.add_argument('--no-images', action='store_true', help='look at the annotations alone')
    parser.add_argument('--no-near-duplicates', action='store_true',
                        help='do not look for images that show the same picture')
    parser.add_argument('--boxes', action='store_true',
                        help='do not ask for masks (for detectors of boxes)')
    parser.add_argument('--ignore-orientation', action='store_true',
                        help="for pipelines that read images with "
                             "color_type='color_ignore_orientation'")
    parser.add_argument('--examples', type=whole_number(0), default=3, metavar='N',
                        help='examples of each kind (default: 3)')
    parser.add_argument('--json', action='store_true',
                        help='print all that is found as JSON, for programs, and nothing else')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> list[Problem]:
    """Check as the command line says; returns the problems.

    Raises:
        UserError: The data cannot be read, or no image is found.
        SystemExit: With status 1 when training would stop.
    """
    args = parse_args(argv)
    parts = _parts(args)
    if args.clean:
        _check_clean(args, parts)
    checked = {name: check_part(name, part, not args.no_images, not args.boxes,
                                not args.ignore_orientation) for name, part in parts.items()}
    between, stops = check_between(checked, not args.no_near_duplicates)
    if args.json:
        print(json.dumps(dict(parts={name: part.as_json() for name, part in checked.items()},
                              between_parts=between), indent=1, default=str))
    else:
        for part in checked.values():
            _say(part, args.examples, len(checked) > 1)
        for line in between:
            print(line)
    if args.clean:
        part, = checked.values()
        write_annotations(cleaned(part.data, part.problems), os.path.abspath(args.clean))
        if not args.json:
            print(f'written, repaired and without what is left out: {printable(args.clean)}')
        return part.problems
    for part in checked.values():
        if not part.stops and 'annotations' in part.data:
            part.usable.demand_usable(part.source)
            part.usable.demand_few_crowds(part.source)
    if stops or any(part.stops for part in checked.values()):
        raise SystemExit(1)
    return [problem for part in checked.values() for problem in part.problems]


def _parts(args) -> dict[str, CocoData]:
    parts = open_data(args.ann, args.images, need_images=not args.no_images)
    if args.val_ann is None:
        if args.val_images:
            raise UserError('--val-images is for --val-ann, which is not given')
        return parts
    other = open_data(args.val_ann, args.val_images, need_images=not args.no_images)
    for source, found in ((args.ann, parts), (args.val_ann, other)):
        if len(found) > 1:
            raise UserError(f'{source} has the parts {", ".join(found)}: with --val-ann give the '
                            'file of one part')
    return dict(train=next(iter(parts.values())), val=next(iter(other.values())))


def _say(part: CheckedPart, examples: int, one_of_several: bool) -> None:
    if one_of_several:
        print(f'{part.name}: {printable(part.source)}')
    for line in part.notes:
        print(line)
    print(part.usable.line(part.source))
    print(table(part.problems, examples))


def _check_clean(args, parts):
    if len(parts) > 1:
        raise UserError(f'--clean: {args.ann} has the parts {", ".join(parts)}: check the file of '
                        'one of them')
    if not args.clean.lower().endswith('.json'):
        raise UserError(f'--clean: {args.clean} must end in .json')
    part, = parts.values()
    refuse_overwriting([args.clean], args.overwrite, [args.ann, part.source, part.ann_file])


def table(problems: list[Problem], examples: int = 3) -> str:
    """Kinds in the order of their weight: how many, what training does, the first examples.

    Args:
        problems: Of all kinds.
        examples: Of a kind that are named at most.
    """
    if not problems:
        return 'nothing unusual: training uses all of it'
    counts = {kind: [] for kind in KINDS}
    for problem in problems:
        counts[problem.kind].append(problem)
    rows = [('kind', 'count', 'what training does')]
    rows += [(kind, str(len(found)), KINDS[kind][1]) for kind, found in counts.items() if found]
    lines = []
    for (kind, _, _), line in zip(rows, columns(rows, '<><'), strict=True):
        lines.append(line)
        found = counts.get(kind, [])
        lines += [f'    {problem}' for problem in found[:examples]]
        if len(found) > examples > 0:
            lines.append(f'    and {len(found) - examples} more')
    return '\n'.join(lines)
