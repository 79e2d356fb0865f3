"""The picture of AggMask: what a cell gathers from its neighbors, and the mask it makes of it."""
from collections.abc import Sequence

import numpy as np
from mmdet.structures import DetDataSample

from .basic_modes import to_image
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


@picture_mode('neighbors', needs='neighbor_maps', of='AggMask and AggMask*',
              test_cfg=dict(neighbor_maps=True))
def draw_neighbors(image: np.ndarray, sample: DetDataSample, classes: Sequence[str] | None,
                    palette: Sequence[tuple] | None) -> np.ndarray:
    """The result, the maps that the best instance gathered, and its fused mask.

    ``pred_instances.neighbor_maps`` is (N, k, h, w) over the padded network input,
    ``neighbor_cells`` (N, k, 2) the row and column of each in the mask grid. The maps are
    representations, not logits: each is shown between its own 2nd and 98th percentile.
    """
    found = sample.pred_instances
    result = draw_results(image, found, classes, palette, legend=False)
    base, _ = enlarge(image)
    label = int(found.labels[0])
    if not isinstance(palette, (list, tuple)) or not palette:
        palette = class_palette(label + 1)
    color = instance_colors([label], palette)
    mask = mask_array(found.masks)[:1]

    tiles = [result]
    cells = found.neighbor_cells[0].tolist()
    for heat, (row, column) in zip(to_image(found.neighbor_maps[0], sample, image.shape[:2]),
                                   cells, strict=True):
        low, high = np.percentile(heat, (2, 98))
        tile = heat_map(base, (heat - low) / max(float(high - low), 1e-6))
        tile = draw_masks(tile, mask, color, alpha=0.0)
        tiles.append(draw_labels(tile, [f'cell {row}, {column}'], [(0, 0)], color))
    name = str(classes[label]) if classes and label < len(classes) else f'class {label}'
    fused = draw_masks(base, mask, color, alpha=0.6)
    tiles.append(draw_labels(fused, [f'fused: {name} {100 * float(found.scores[0]):.0f}'],
                             [(0, 0)], color))
    return grid_of(tiles)
