"""``lordre browse``."""
import argparse
import itertools
import os
from collections.abc import Iterator

from .. import __version__
from ..browsing.network import network_sections
from ..browsing.page import refuse_used, write_all
from ..browsing.sections import Section, sections_of
from ..browsing.tiles import Tiles
from ..datasets.checking import CheckedPart, check_between, check_part
from ..datasets.formats import FORMATS, open_data
from ..errors import UserError
from ..text import plural, printable
from .options import Parser, add_cfg_options, whole_number

#: Pictures of a mosaic where nothing else is said.
_TILES = 24


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(
        description='Draw a data set: images and objects of each class with their masks, the '
                    'largest, smallest and most crowded, and what is doubtful. One HTML page '
                    'that needs no server and no network, and the same as JPEG mosaics.')
    parser.add_argument('ann', metavar='ANN', nargs='?',
                        help='annotations: a file or folder of any format in docs/data.md')
    parser.add_argument('images', nargs='?', help='folder of the images (default: found near '
                                                  'the annotations)')
    parser.add_argument('--out', required=True, metavar='FOLDER', help='a new folder')
    parser.add_argument('--tiles', type=int, metavar='N',
                        help=f'pictures of a mosaic of ANN (default: {_TILES})')
    parser.add_argument('--near-duplicates', action='store_true',
                        help='also look for images that show the same picture: all are read')
    parser.add_argument('--follow-links', action='store_true',
                        help='show images that are links out of their folder')
    parser.add_argument('--through', metavar='CONFIG',
                        help='also draw what the network is given in training: batches after '
                             'augmentation, with the targets of its head; without ANN, of the '
                             "config's own data")
    parser.add_argument('--batches', type=int, metavar='N', help='with --through (default: 2)')
    add_cfg_options(parser)
    parser.add_argument('--seed', type=whole_number(0), default=0,
                        help='seed of the random choice of images and objects, and of '
                             '--through (default: 0)')
    parser.add_argument('--format', choices=list(FORMATS), help='of ANN (default: found)')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> str:
    """Draw as the command line says; returns the path of the page.

    Raises:
        UserError: The data cannot be read, or the folder has files.
    """
    args = parse_args(argv)
    if args.ann is None and args.through is None:
        raise UserError('nothing to draw: give annotations, or --through CONFIG')
    _refuse_idle(args)
    args.tiles = _TILES if args.tiles is None else args.tiles
    if not 1 <= args.tiles <= 500:
        raise UserError(f'--tiles: {args.tiles} is not from 1 to 500')
    batches = 2 if args.batches is None else args.batches
    if not 1 <= batches <= 100:
        raise UserError(f'--batches: {batches} is not from 1 to 100')
    refuse_used(args.out)
    parts, between, sections = {}, [], []
    if args.ann is not None:
        parts, between, sections = _data(args)
    if args.through is not None:
        sections = itertools.chain(sections, network_sections(
            args.through, args.ann, args.images, batches, args.seed, args.cfg_options,
            args.format))
    title = str(args.through if args.ann is None else args.ann)
    page, files = write_all(args.out, title, parts, between, sections, __version__)
    print(f'{printable(page)}: {os.path.getsize(page) / 2**20:.1f} MiB; '
          f'{plural(len(files), "mosaic")} beside it')
    return page


def _refuse_idle(args):
    """Options of what is not drawn would do nothing."""
    for option, given, needed, there in (
            ('--cfg-options', args.cfg_options, '--through', args.through),
            ('--batches', args.batches is not None, '--through', args.through),
            ('--tiles', args.tiles is not None, 'ANN', args.ann),
            ('--near-duplicates', args.near_duplicates, 'ANN', args.ann),
            ('--follow-links', args.follow_links, 'ANN', args.ann),
            ('--format', args.format, 'ANN', args.ann)):
        if given and there is None:
            raise UserError(f'{option} is for {needed}, which is not given')


def _data(args) -> tuple[dict[str, CheckedPart], list[str], Iterator[Section]]:
    opened = open_data(args.ann, args.images, args.format)
    parts = {}
    for name, part in opened.items():
        # only what is shown is opened
        parts[name] = check_part(name, part, look_at_images=False)
        parts[name].folder = part.folder
        print(f'{printable(name)}: {parts[name].usable.line(part.source)}')
    between, _ = check_between(parts, True) if args.near_duplicates else ([], False)
    tiles = {name: Tiles(part.data, part.folder, follow_links=args.follow_links)
             for name, part in parts.items()}
    return parts, between, _sections(args, parts, tiles)


def _sections(args, parts, tiles):
    for name, part in parts.items():
        for section in sections_of(part, tiles[name], args.tiles, args.seed):
            title = f'{name}: {section.title}' if len(parts) > 1 else section.title
            yield Section(section.group, title, section.note, section.tiles)
        if tiles[name].unread:
            print(f'{printable(part.source)}: {plural(len(tiles[name].unread), "image")} of those '
                  'shown could not be read, have another size than the annotations say, or lie '
                  'outside of their folder (lordre check says which; --follow-links follows '
                  'links): drawn without a picture')
