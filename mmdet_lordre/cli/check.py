"""``lordre check-dataset``."""
import argparse
import os

from ..datasets.annotation_rules import KINDS, STOP, Problem, annotation_problems, cleaned
from ..datasets.coco_file import class_names, write_annotations
from ..datasets.formats import open_data
from ..datasets.image_rules import image_file_problems, listed_image_problems
from ..datasets.repairs import Repairs, describe, names_alike
from ..datasets.units import refuse_other_units
from ..datasets.usable import usable_annotations
from ..errors import UserError
from ..text import printable, quoted
from .options import Parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        description='Find everything in a data set that training stops at, leaves out or '
                    'treats in a way of its own. Every image is decoded.',
        epilog='Status 0: training would start; 1: it would stop, or the file cannot be read.')
    parser.add_argument('ann', metavar='ANN', help='annotations: a file or folder of any format '
                                                   'in docs/data.md')
    parser.add_argument('images', nargs='?', help='folder of the images (default: found near '
                                                  'the annotations)')
    parser.add_argument('--clean', metavar='OUT.json',
                        help='write the annotations without what cannot or will not be used')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT.json')
    parser.add_argument('--no-images', action='store_true', help='look at the annotations alone')
    parser.add_argument('--boxes', action='store_true',
                        help='do not ask for masks (for detectors of boxes)')
    parser.add_argument('--ignore-orientation', action='store_true',
                        help="for pipelines that read images with "
                             "color_type='color_ignore_orientation'")
    parser.add_argument('--examples', type=int, default=3, metavar='N',
                        help='examples of each kind (default: 3)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> list[Problem]:
    """Check as the command line says; returns the problems.

    Raises:
        UserError: the file cannot be read, or no image is found.
        SystemExit: with status 1 when training would stop.
    """
    args = parse_args(argv)
    parts = open_data(args.ann, args.images, need_images=not args.no_images)
    if args.clean:
        _check_clean(args, parts)
    found, stopping = [], False
    for name, part in parts.items():
        if len(parts) > 1:
            print(f'{name}: {printable(part.source)}')
        if part.line():
            print(part.line())
        problems, usable = _check(part, args)
        found += problems
        if any(p.treatment == STOP for p in problems):
            stopping = True
        elif not args.clean and 'annotations' in part.data:
            usable.demand_some(part.source)
            usable.demand_few_crowds(part.source)
    if stopping and not args.clean:
        raise SystemExit(1)
    return found


def _check_clean(args, parts):
    if len(parts) > 1:
        raise UserError(f'--clean: {args.ann} has the parts {", ".join(parts)}: check the file of '
                        'one of them')
    if os.path.abspath(args.clean) == os.path.abspath(args.ann):
        raise UserError(f'--clean: {args.clean} is the file that is checked: choose another')
    if os.path.exists(args.clean) and not args.overwrite:
        raise UserError(f'--clean: {args.clean} is there already: choose another name, or '
                        'replace it with --overwrite')


def _check(part, args):
    """(problems, what can be learned) of a part, which are printed, and written cleaned."""
    data, name = part.data, part.source
    repairs = Repairs(data, name)
    folder = None if args.no_images else part.folder
    if repairs.make(folder, not args.ignore_orientation).notes:
        print(describe(name, repairs.notes))
        data = repairs.data
    class_names(data, name)
    for one, other in names_alike(data):
        print(f'the classes {quoted(one)} and {quoted(other)} differ in case or spaces alone')
    refuse_other_units(data, name)
    problems = list(annotation_problems(data, not args.boxes, thorough=True))
    problems += listed_image_problems(data, thorough=True)
    if folder is not None:
        problems += image_file_problems(data, folder, upright=not args.ignore_orientation,
                                        thorough=True)
    usable = usable_annotations(data, problems)
    print(usable.line(name))
    print(table(problems, args.examples))
    if args.clean:
        write_annotations(cleaned(data, problems), os.path.abspath(args.clean))
        print(f'written, repaired and without what is left out: {args.clean}')
    return problems, usable


def table(problems: list[Problem], examples: int = 3) -> str:
    """Kinds in the order of their weight: how many, what training does, the first examples."""
    if not problems:
        return 'nothing unusual: training uses all of it'
    counts = {kind: [] for kind in KINDS}
    for problem in problems:
        counts[problem.kind].append(problem)
    rows = [('kind', 'count', 'what training does')]
    rows += [(kind, str(len(found)), KINDS[kind][1]) for kind, found in counts.items() if found]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = []
    for kind, count, effect in rows:
        lines.append(f'{kind.ljust(widths[0])}  {count.rjust(widths[1])}  {effect}')
        found = counts.get(kind, [])
        lines += [f'    {problem}' for problem in found[:examples]]
        if len(found) > examples > 0:
            lines.append(f'    and {len(found) - examples} more')
    return '\n'.join(lines)
