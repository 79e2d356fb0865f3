"""The pictures of masks, and of what each instance of Lordre looks at."""
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from .drawing import (
    draw_masks,
    draw_results,
    enlarge,
    grid_of,
    heat_map,
    instance_colors,
    mask_array,
)
from .labels import draw_labels
from .modes import picture_mode
from .palette import class_palette

#: Tiles on a sheet beside the picture of all masks.
TILES = 7


@picture_mode('masks')
def draw_mask_picture(image: np.ndarray, sample: DetDataSample, classes: Sequence[str] | None,
                      palette: Sequence[tuple] | None) -> np.ndarray:
    """All instances on the image."""
    return draw_results(image, sample.pred_instances, classes, palette)


@picture_mode('activation-maps', needs='activation_maps', of='Lordre',
              test_cfg=dict(activation_maps=True))
def draw_activation_maps(image: np.ndarray, sample: DetDataSample, classes: Sequence[str] | None,
                         palette: Sequence[tuple] | None) -> np.ndarray:
    """The result, then the activation map of each of the best instances over the image.

    ``pred_instances.activation_maps`` is (N, h, w) over the padded network input.
    """
    found = sample.pred_instances
    result = draw_results(image, found, classes, palette, legend=False)
    base, _ = enlarge(image)
    maps = to_image(found.activation_maps[:TILES], sample, image.shape[:2])
    labels = [int(label) for label in found.labels[:TILES]]
    palette = palette if isinstance(palette, (list, tuple)) else class_palette(max(labels) + 1)
    masks = mask_array(found.masks)[:TILES] if 'masks' in found else None
    tiles = [result]
    for i, heat in enumerate(maps):
        color = instance_colors(labels[i:i + 1], palette)
        # a map is a distribution over pixels or a sigmoid: its own maximum is the scale
        tile = heat_map(base, heat / max(float(heat.max()), 1e-6))
        if masks is not None:
            tile = draw_masks(tile, masks[i:i + 1], color, alpha=0.0)
        name = classes[labels[i]] if classes else f'class {labels[i]}'
        tiles.append(draw_labels(tile, [f'{name} {100 * float(found.scores[i]):.0f}'], [(0, 0)],
                                 color))
    return grid_of(tiles)


def to_image(maps: torch.Tensor, sample: DetDataSample, size: tuple[int, int]) -> np.ndarray:
    """Maps over the padded network input, as arrays over the original image.

    Args:
        maps: (N, h, w).
        sample: With ``batch_input_shape`` (or ``pad_shape``) and ``img_shape``.
        size: (H, W) of the original image.

    Returns:
        ndarray: (N, H, W) float32.
    """
    maps = torch.as_tensor(maps).detach().float().cpu()
    if not len(maps):
        return np.zeros((0, *size), np.float32)
    img_h, img_w = sample.img_shape[:2]
    pad_h, pad_w = sample.get('batch_input_shape', sample.get('pad_shape', (img_h, img_w)))[:2]
    maps = F.interpolate(maps[None], size=(pad_h, pad_w), mode='bilinear')[..., :img_h, :img_w]
    return F.interpolate(maps, size=tuple(size), mode='bilinear')[0].numpy()
