"""``lordre check-dataset``."""
import argparse
import os

from ..datasets.annotation_rules import KINDS, STOP, annotation_problems
from ..datasets.coco_file import class_names, find_images, read_annotations, write_clean
from ..datasets.image_rules import image_file_problems, listed_image_problems
from ..errors import UserError


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Find everything in a COCO data set that training stops at, leaves out or '
                    'treats in a way of its own. Every image is decoded.',
        epilog='Status 0: training would start; 1: it would stop, or the file cannot be read.')
    parser.add_argument('ann', metavar='ANN.json', help='annotations')
    parser.add_argument('images', nargs='?', help='folder of the images (default: found near '
                                                  'the annotations)')
    parser.add_argument('--clean', metavar='OUT.json',
                        help='write the annotations without what cannot or will not be used')
    parser.add_argument('--no-images', action='store_true', help='look at the annotations alone')
    parser.add_argument('--boxes', action='store_true',
                        help='do not ask for masks (for detectors of boxes)')
    parser.add_argument('--ignore-orientation', action='store_true',
                        help="for pipelines that read images with "
                             "color_type='color_ignore_orientation'")
    parser.add_argument('--examples', type=int, default=3, metavar='N',
                        help='examples of each kind (default: 3)')
    return parser.parse_args(argv)


def main(argv=None):
    """Check as the command line says; returns the problems.

    Raises:
        UserError: the file cannot be read, or no image is found.
        SystemExit: with status 1 when training would stop.
    """
    args = parse_args(argv)
    data = read_annotations(args.ann)
    class_names(data, args.ann)
    problems = list(annotation_problems(data, not args.boxes, thorough=True))
    problems += listed_image_problems(data, thorough=True)
    if not args.no_images:
        folder = args.images
        if folder is None:
            folder = find_images(data, args.ann)
        elif not os.path.isdir(folder):
            raise UserError(f'no such folder of images: {folder}')
        problems += image_file_problems(data, folder, upright=not args.ignore_orientation,
                                        thorough=True)
    print(f'{args.ann}: {len(data["images"])} images, {len(data.get("annotations", ()))} '
          f'annotations, {len(data["categories"])} categories')
    print(table(problems, args.examples))
    if args.clean:
        if os.path.abspath(args.clean) == os.path.abspath(args.ann):
            raise UserError(f'--clean: {args.clean} is the file that is checked: choose another')
        folder, name = os.path.split(os.path.abspath(args.clean))
        write_clean(data, problems, name, folder)
        print(f'written without them: {args.clean}')
    elif any(p.treatment == STOP for p in problems):
        raise SystemExit(1)
    return problems


def table(problems, examples=3):
    """Kinds in the order of their weight: how many, what training does, the first examples."""
    if not problems:
        return 'nothing unusual: training uses all of it'
    counts = {kind: [p for p in problems if p.kind == kind] for kind in KINDS}
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
