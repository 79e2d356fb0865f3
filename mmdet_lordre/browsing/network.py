"""What a network is given in training: batches after augmentation, as its head sees them."""
import contextlib
import io
import tempfile
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from ..config.classes import class_names_of
from ..config.own_data import use_own_data
from ..config.reading import load_config
from ..errors import UserError
from ..text import plural, printable
from ..visualization.drawing import instance_colors
from ..visualization.palette import class_palette
from .sections import Section, Tile
from .targets import drawn_targets

#: Pixels of the longer side of a picture, and by how much a small input is enlarged for it.
_SIDE, _LARGEST = 960, 6


def network_sections(config: str, ann: str | None = None, images: str | None = None,
                     batches: int = 2, seed: int = 0, options: dict | None = None,
                     format: str | None = None) -> Iterator[Section]:
    """Draw the first training batches of a config with the targets of its head.

    Args:
        config: Path of the config.
        ann: One's own data in place of the config's, of any format.
        images: Folder of their images.
        batches: How many.
        seed: Of the order of the images and of the augmentation.
        options: Values that override the config, by dotted key.
        format: Of ``ann``; found if not given.

    Yields:
        Section: of the group 'network', one a batch.

    Raises:
        UserError: The config cannot be built, or its data cannot be read.
    """
    cfg = load_config(config, options)
    if cfg.get('train_dataloader') is None:
        raise UserError(f'config {config} has no train_dataloader: nothing is trained on')
    with tempfile.TemporaryDirectory() as folder:
        if ann is not None:
            use_own_data(cfg, ann, train_images=images, folder=folder, train_format=format)
        loader, model = _built(cfg, config, seed)
        classes = class_names_of(cfg)
        if not len(loader):
            raise UserError(f'config {config}: no batch can be made of its training data')
        for number, batch in zip(range(1, batches + 1), loader):
            with torch.no_grad():
                batch = model.data_preprocessor(batch, training=True)
                yield _section(model, batch, number, classes)


def _built(cfg: Config, config: str, seed: int):
    """The training loader, in this process, and the model with random weights."""
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    settings = dict(cfg.train_dataloader, num_workers=0, persistent_workers=False,
                    drop_last=False)  # fewer images than a batch are shown, too
    settings.pop('prefetch_factor', None)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools says that it reads
            return (Runner.build_dataloader(settings, seed=seed),
                    MODELS.build(cfg.model).eval())
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f'config {config}: no such file: {error.filename or error}: give the '
                        'annotations, too, where they have moved') from error
    except Exception as error:
        what = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise UserError(f'config {config}: {type(error).__name__}: {what} '
                        '(MMDET_LORDRE_TRACEBACK=1 shows where)') from error


def _section(model: nn.Module, batch: dict, number: int, classes) -> Section:
    inputs, samples = batch['inputs'], batch['data_samples']
    drawn = drawn_targets(model, inputs, samples)
    tiles = []
    for image, sample, targets in zip(inputs, samples, drawn, strict=True):
        picture = to_picture(image, model.data_preprocessor)
        factor = min(_SIDE / max(picture.shape[:2]), _LARGEST)
        picture = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA
                             if factor < 1 else cv2.INTER_CUBIC)
        labels = sample.gt_instances.labels.tolist()
        palette = class_palette(max([*labels, len(classes or ())]) + 1)
        targets.draw(picture, instance_colors(labels, palette), factor)
        height, width = image.shape[-2:]
        lines = [printable(sample.get('img_path', ''), 80),
                 f'{width}x{height} px, {plural(len(labels), "object")}']
        tiles.append(Tile(picture, (*lines, *targets.lines)))
    return Section('network', f'Batch {number}', drawn[0].legend if drawn else '', tiles)


def to_picture(image: torch.Tensor, preprocessor: nn.Module) -> np.ndarray:
    """An input of the network as (H, W, 3) uint8, RGB.

    Args:
        image: (3, H, W) after the preprocessor.
        preprocessor: With the ``mean`` and ``std`` that it applied.
    """
    image = image.detach().float().cpu()
    if getattr(preprocessor, '_enable_normalize', False):
        image = image * preprocessor.std.cpu() + preprocessor.mean.cpu()
    picture = image.round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    # images are loaded as BGR
    if not getattr(preprocessor, '_channel_conversion', False):
        picture = picture[..., ::-1]
    return np.ascontiguousarray(picture)
