"""``lordre demo``."""
import os
from pathlib import Path

import cv2
import mmcv
import torch
from mmcv.transforms import Compose
from mmdet.apis import inference_detector
from mmdet.utils import get_test_pipeline_cfg
from rich.progress import track

from ..errors import UserError
from ..models import build_model
from ..prediction.pictures import IMAGE_ENDINGS
from ..visualization import PICTURE_MODES
from .options import Parser, add_cfg_options, add_device


def parse_args(argv=None):
    parser = Parser(description='Draw what a model finds in images')
    parser.add_argument('images', nargs='+', help='images, or folders of images')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint; its classes are taken')
    parser.add_argument('--out', metavar='DIR', default='demo_out',
                        help='folder of the pictures (default: demo_out)')
    parser.add_argument('--score-thr', type=float, default=0.3,
                        help='lowest score that is drawn (default: 0.3)')
    parser.add_argument('--mode', default='masks',
                        help=f'what to draw: {", ".join(sorted(PICTURE_MODES))}')
    parser.add_argument('--activation-maps', action='store_true',
                        help='the same as --mode activation-maps')
    add_device(parser)
    add_cfg_options(parser)
    return parser.parse_args(argv)


def main(argv=None):
    """Draw as the command line says; returns the paths of the pictures."""
    args = parse_args(argv)
    mode = picture_mode_of('activation-maps' if args.activation_maps else args.mode)
    paths = [path for given in args.images for path in list_images(given)]
    model = build_model(args.config, args.checkpoint, args.device, args.cfg_options,
                        mode.test_cfg)
    pipeline = Compose(get_test_pipeline_cfg(model.cfg))
    taken, written, skipped = set(), [], []
    for path in track(paths, description='Drawing', disable=len(paths) < 2):
        image = mmcv.imread(str(path))
        if image is None:
            skipped.append(path)
            continue
        image = image[..., ::-1]
        sample = inference_detector(model, str(path), test_pipeline=pipeline)
        target = _free_name(Path(args.out), path, taken)
        cv2_write(target, picture_of(mode, image, sample, model.dataset_meta, args.score_thr))
        written.append(target)
    if not written:
        raise UserError(f'the image {skipped[0]} cannot be decoded')
    for path in skipped:
        print(f'left out: {path} cannot be decoded')
    print(f'{len(written)} picture{"s" if len(written) > 1 else ""} in {args.out}')
    return written


def picture_mode_of(name):
    """The mode of that name.

    Raises:
        UserError: there is none.
    """
    if name not in PICTURE_MODES:
        raise UserError(f'--mode: unknown mode {name!r}; choose from '
                        f'{", ".join(sorted(PICTURE_MODES))}')
    return PICTURE_MODES[name]


def list_images(path):
    """The images of a file or folder (and its folders), in order.

    Raises:
        UserError: nothing is there.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f'no such image or folder: {path}')
    found = sorted(p for p in path.rglob('*') if p.suffix.lower() in IMAGE_ENDINGS)
    if not found:
        raise UserError(f'no images in {path} (looked for {", ".join(IMAGE_ENDINGS)})')
    return found


@torch.no_grad()
def picture_of(mode, image, sample, meta, score_thr=0.3):
    """One picture of the instances above a score.

    Raises:
        UserError: the model does not give what the mode draws.
    """
    sample = sample.cpu()
    found = sample.pred_instances
    if mode.needs and mode.needs not in found:
        raise UserError(f'--mode {mode.name} is for {mode.of}; this model gives no {mode.needs}')
    keep = (found.scores > score_thr).nonzero().flatten()
    keep = keep[found.scores[keep].argsort(descending=True, stable=True)]
    sample.pred_instances = found[keep]
    if not len(keep):
        mode = PICTURE_MODES['masks']
    return mode.draw(image, sample, meta['classes'], meta['palette'])


def cv2_write(path, picture):
    """Write an RGB picture, also under a name that is not ASCII."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, picture[..., ::-1])
    if not ok:
        raise UserError(f'{path} cannot be written')
    path.write_bytes(data.tobytes())


def _free_name(folder, path, taken):
    """The image's name in the folder; numbered where two folders have the same name."""
    suffix = path.suffix if path.suffix.lower() in ('.jpg', '.jpeg', '.png') else '.png'
    stem, number = path.stem, 1
    while (name := stem + suffix) in taken:
        number += 1
        stem = f'{path.stem}_{number}'
    taken.add(name)
    if os.path.abspath(folder) == os.path.abspath(path.parent):
        name = f'{stem}_drawn{suffix}'  # never over the photograph itself
    return folder / name
