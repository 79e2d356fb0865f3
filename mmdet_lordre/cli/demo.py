"""``lordre demo``."""
import argparse
import os
import re
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.apis import inference_detector
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from rich.progress import track

from ..config.reading import is_config_name, tile_of
from ..errors import UserError
from ..files import atomic_write, identity
from ..models import build_model
from ..prediction.pictures import IMAGE_ENDINGS, BrokenPictureError, passed_over
from ..prediction.preparation import thin_is_broken
from ..prediction.sixteen_bits import few_levels, has_16_bits
from ..prediction.tiled_loops import TiledPredictor
from ..text import plural, printable
from ..visualization import PICTURE_MODES
from ..visualization.modes import PictureMode
from ..visualization.seen import read_to_see
from .options import Parser, add_cfg_options, add_device, score

#: How the name of a drawn picture ends beside its image.
_DRAWN = re.compile(r'_drawn(_\d+)?$')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = Parser(description='Draw what a model finds in images')
    parser.add_argument('images', nargs='+', help='images, or folders of images')
    parser.add_argument('model', metavar='MODEL',
                        help='a work folder (its best, else its last checkpoint), a checkpoint, or '
                             'a config and its checkpoint')
    parser.add_argument('--out', metavar='DIR', default='demo_out',
                        help='folder of the pictures (default: demo_out)')
    parser.add_argument('--score-thr', type=score, default=0.3,
                        help='lowest score that is drawn (default: 0.3)')
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--mode', default='masks',
                      help=f'what to draw: {", ".join(sorted(PICTURE_MODES))}')
    what.add_argument('--activation-maps', action='store_true',
                      help='the same as --mode activation-maps')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace pictures of an earlier call')
    add_device(parser)
    add_cfg_options(parser)
    parser.intermixed = True
    args = parser.parse_args(argv)
    args.checkpoint = None
    if len(args.images) > 1 and is_config_name(args.images[-1]):  # a checkpoint follows
        args.model, args.checkpoint = args.images.pop(), args.model
    return args


def main(argv: list[str] | None = None) -> list[Path]:
    """Draw as the command line says; returns the paths of the pictures."""
    args = parse_args(argv)
    mode = picture_mode_of('activation-maps' if args.activation_maps else args.mode)
    out = Path(args.out)
    paths = [path for given in args.images for path in list_images(given, out)]
    targets = free_names(out, paths, args.overwrite)
    model = build_model(args.model, args.checkpoint, args.device, args.cfg_options,
                        mode.test_cfg)
    pipeline = Compose(get_test_pipeline_cfg(model.cfg))
    tile = tile_of(model.cfg)
    # what a mode draws beside masks is that of one pass of the network
    tiled = TiledPredictor(model, model.cfg, model.dataset_meta, tile) \
        if tile and not mode.needs else None
    found, written, skipped = 0, [], []
    for path, target in track([*zip(paths, targets)], description='Drawing',
                              disable=len(paths) < 2):
        image = read_to_see(str(path))
        try:
            sample = None if image is None else _sample(
                model, str(path), image.shape[:2], pipeline, tiled)
        except BrokenPictureError as error:
            skipped.append(f'{path}: {error}')
            continue
        if sample is None:
            skipped.append(f'{path} cannot be decoded')
            continue
        if image.shape[:2] != tuple(sample.ori_shape[:2]):
            # a model of photographs that were annotated as they are stored
            image = read_to_see(str(path), sample.ori_shape[:2])
        image = image[..., ::-1]
        found += int((sample.pred_instances.scores >= args.score_thr).sum())
        write_picture(target, picture_of(mode, image, sample, model.dataset_meta, args.score_thr))
        written.append(target)
    if not written:
        raise UserError(f'the image {skipped[0]}')
    for said in skipped:
        print(f'left out: {printable(said)}')
    deep = next(filter(has_16_bits, map(str, paths)), None)
    if deep and (line := few_levels(deep, model.cfg)):
        print(f'warning: {line}')
    print(f'{plural(found, "instance")} of score {args.score_thr:g} or more; '
          f'{plural(len(written), "picture")} in {printable(args.out)}')
    return written


def _sample(model, path, shape, pipeline, tiled) -> DetDataSample | None:
    """What is found in a picture; None where the pipeline cannot decode it."""
    if tiled:
        return tiled(DetDataSample(metainfo=dict(img_id=path, img_path=path)))
    try:
        with thin_is_broken(shape):
            return inference_detector(model, path, test_pipeline=pipeline)
    except AssertionError as error:
        if 'failed to load image' not in str(error):
            raise
        return None


def picture_mode_of(name: str) -> PictureMode:
    """The mode of that name.

    Raises:
        UserError: There is none.
    """
    if name not in PICTURE_MODES:
        raise UserError(f'--mode: unknown mode {name!r}; choose from '
                        f'{", ".join(sorted(PICTURE_MODES))}')
    return PICTURE_MODES[name]


def list_images(path: str | Path, out: Path | None = None) -> list[Path]:
    """The images of a file or folder (and its folders), in order.

    Args:
        path: Of one or the other.
        out: Folder of drawn pictures, which are left out: all in it where it lies in ``path``, else
            those whose names end as :func:`free_names` makes them.

    Raises:
        UserError: Nothing is there.
    """
    if '://' in str(path):
        raise UserError(f'{path}: images are not downloaded here: give a file or folder, or use '
                        'lordre predict')
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f'no such image or folder: {path}')
    files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    # a pipe of such a name would be waited for
    found = sorted(p for p in files if p.suffix.lower() in IMAGE_ENDINGS
                   and not (p.exists() and not p.is_file()))
    other = passed_over([p.name for p in files], IMAGE_ENDINGS)
    if out is not None:
        out, inside = out.resolve(), path.resolve()
        among = out == inside or out in inside.parents
        found = [p for p in found if not _is_in(out, p)
                 or (among and not _DRAWN.search(p.stem))]
    if not found:
        raise UserError(f'no images in {path} (looked for {", ".join(IMAGE_ENDINGS)})'
                        + (f'; {other}' if other else ''))
    if other:
        print(f'{printable(path, 80)}: {other}')
    return found


@torch.no_grad()
def picture_of(mode: PictureMode, image: np.ndarray, sample: DetDataSample, meta: dict,
               score_thr: float = 0.3) -> np.ndarray:
    """One picture of the instances from a score on.

    Args:
        mode: How to draw.
        image: RGB, uint8 (H, W, 3).
        sample: What the model found in it.
        meta: ``classes`` and ``palette``.
        score_thr: Lowest score that is drawn.

    Raises:
        UserError: The model does not give what the mode draws.
    """
    sample = sample.cpu()
    found = sample.pred_instances
    if mode.needs and mode.needs not in found:
        raise UserError(f'--mode {mode.name} is for {mode.of}; this model gives no {mode.needs}')
    keep = (found.scores >= score_thr).nonzero().flatten()
    keep = keep[found.scores[keep].argsort(descending=True, stable=True)]
    sample.pred_instances = found[keep]
    if not len(keep):
        mode = PICTURE_MODES['masks']
    return mode.draw(image, sample, meta['classes'], meta['palette'])


def _is_in(folder, path):
    """Whether a file lies in a folder, whose links have been followed, or below it."""
    inside = path.parent.resolve()
    return folder in (inside, *inside.parents)


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write an RGB picture, uint8 (H, W, 3), also under a name that is not ASCII.

    Raises:
        UserError: It cannot be written in the format that the name asks for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, picture[..., ::-1])
    if not ok:
        raise UserError(f'{path} cannot be written')
    with atomic_write(path) as name:  # a link is replaced, and not what it leads to
        Path(name).write_bytes(data.tobytes())


def free_names(folder: Path, paths: list[Path], overwrite: bool = False) -> list[Path]:
    """Where each image's picture goes: its own name, numbered where that is taken.

    In a folder that holds an image, names end in ``_drawn``: the next run knows them by it.

    Args:
        folder: Of the pictures.
        paths: Of the images; none of them is ever written over.
        overwrite: Whether files that are there already may be.

    Raises:
        UserError: One is there already.
    """
    taken = {os.path.realpath(path) for path in paths}
    images = {identity(path) for path in paths} - {None}  # under other names, too
    targets = []
    real = folder.resolve()
    among = any(_is_in(real, path) for path in paths)
    for path in paths:
        suffix = path.suffix if path.suffix.lower() in ('.jpg', '.jpeg', '.png') else '.png'
        stem = f'{path.stem}_drawn' if among else path.stem
        name, number = f'{stem}{suffix}', 1
        while os.path.realpath(folder / name) in taken or identity(folder / name) in images:
            number += 1
            name = f'{stem}_{number}{suffix}'
        taken.add(os.path.realpath(folder / name))
        targets.append(folder / name)
    there = [target for target in targets if os.path.lexists(target)]
    if there and not overwrite:
        raise UserError(f'{there[0]} already exists: choose another --out, or replace it with '
                        '--overwrite')
    return targets
