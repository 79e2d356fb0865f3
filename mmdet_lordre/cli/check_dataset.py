"""``lordre check-dataset``."""
import argparse
import os

from ..datasets.annotation_rules import KINDS, STOP, Problem, annotation_problems, cleaned
from ..datasets.coco_file import class_names, find_images, read_annotations, write_annotations
from ..datasets.image_rules import image_file_problems, listed_image_problems
from ..datasets.repairs import Repairs, describe
from ..datasets.units import refuse_other_units
from ..datasets.usable import usable_annotations
from ..errors import UserError
from .options import Parser


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(
        description='Find everything in a COCO data set that training stops at, leaves out or '
                    'treats in a way of its own. Every image is decoded.',
        epilog='Status 0: training would start; 1: it would stop, or the file cannot be read.')
    parser.add_argument('ann', metavar='ANN.json', help='annotations')
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
    data = read_annotations(args.ann)
    repairs = Repairs(data, args.ann)
    folder = None if args.no_images else find_images(data, args.ann, args.images)
    if repairs.make(folder, not args.ignore_orientation).notes:
        print(describe(args.ann, repairs.notes))
        data = repairs.data
    class_names(data, args.ann)
    refuse_other_units(data, args.ann)
    problems = list(annotation_problems(data, not args.boxes, thorough=True))
    problems += listed_image_problems(data, thorough=True)
    if folder is not None:
        problems += image_file_problems(data, folder, upright=not args.ignore_orientation,
                                        thorough=True)
    usable = usable_annotations(data, problems)
    print(usable.line(args.ann))
    print(table(problems, args.examples))
    if args.clean:
        if os.path.abspath(args.clean) == os.path.abspath(args.ann):
            raise UserError(f'--clean: {args.clean} is the file that is checked: choose another')
        if os.path.exists(args.clean) and not args.overwrite:
            raise UserError(f'--clean: {args.clean} is there already: choose another name, or '
                            'replace it with --overwrite')
        write_annotations(cleaned(data, problems), os.path.abspath(args.clean))
        print(f'written, repaired and without what is left out: {args.clean}')
    elif any(p.treatment == STOP for p in problems):
        raise SystemExit(1)
    else:
        usable.demand_some(args.ann)
    return problems


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
