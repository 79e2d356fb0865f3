"""``lordre report``."""
import argparse
import os

from ..errors import UserError
from ..reporting.report import Options, write_report
from ..reporting.sources import FOLDER, Source, find_source
from .options import Parser, score, whole_number


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(
        description='Write a page that shows how good a model is, where it fails and what to do '
                    'next, and the same numbers as JSON.')
    parser.add_argument('run', nargs='?', metavar='RUN_OR_RESULTS',
                        help='work folder of a training, or results in COCO\'s format')
    parser.add_argument('--results', metavar='JSON',
                        help='results of any program, in COCO\'s format (needs --ann)')
    parser.add_argument('--ann', metavar='DATA',
                        help='annotations that the results are for, of any format: a file or a '
                             'folder (default: those of the run)')
    parser.add_argument('--images', metavar='DIR', help='default: found near --ann')
    parser.add_argument('--against', nargs='+', default=[], metavar='OTHER',
                        help='runs or results to compare with, on the same images')
    parser.add_argument('--out', metavar='DIR',
                        help='folder of report.html, report.json and thresholds.json (default: '
                             'RUN/report, or RESULTS_report)')
    parser.add_argument('--iou', type=float, default=0.5,
                        help='IoU from which on a mask is right, in the confusion matrix and for '
                             'the thresholds (default: 0.5)')
    parser.add_argument('--score-thr', type=score, metavar='SCORE',
                        help='lowest score that counts as shown (default: the best of each class)')
    parser.add_argument('--max-dets', type=whole_number(), metavar='N',
                        help='detections of a class in an image that count (default: as many as '
                             "the run's evaluator counts, else COCO's 100)")
    parser.add_argument('--resamples', type=int, default=400, metavar='N',
                        help='resamples of the images, for the intervals (default: 400)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> str:
    """Write a report as the command line says; returns the path of the page.

    Raises:
        UserError: Files that are missing or do not belong together.
    """
    args = parse_args(argv)
    if (args.run is None) == (args.results is None):
        raise UserError('give a work folder or a file of results: lordre report RUN, or lordre '
                        'report --results RESULTS.json --ann ANNOTATIONS.json')
    if not 0 < args.iou <= 1:
        raise UserError(f'--iou must lie above 0 and be 1 at most, not {args.iou}')
    if args.resamples < 2:
        raise UserError(f'--resamples must be 2 or more, not {args.resamples}')
    sources = [find_source(path) for path in (args.run or args.results, *args.against)]
    _name_apart(sources)
    path = write_report(args.out or _folder_of(sources[0]), sources, args.ann, args.images,
                        Options(args.iou, args.score_thr, args.resamples,
                                max_dets=args.max_dets), print)
    if sources[0].results is None:
        print(f'{sources[0].run}: there are no predictions beside this run, so only its training '
              'is shown; lordre test CONFIG CHECKPOINT --json-out PREFIX writes them')
    print(f'report: {path} ({os.path.getsize(path) / 2**20:.1f} MiB)')
    return path


def _folder_of(source: Source) -> str:
    if source.run:
        return os.path.join(source.run, FOLDER)
    return f'{os.path.splitext(source.results)[0]}_report'


def _name_apart(sources: list[Source]) -> None:
    """Give sources of one name the names of their folders too."""
    names = [source.name for source in sources]
    for source in sources:
        if names.count(source.name) > 1:
            place = source.run or source.results or ''
            parent = os.path.basename(os.path.dirname(os.path.abspath(place)))
            source.name = f'{parent}/{source.name}'
