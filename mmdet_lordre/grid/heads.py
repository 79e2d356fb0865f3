"""What the heads of all families do alike: settings, counts, and sizes that must agree."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from mmdet.utils import InstanceList, reduce_mean
from mmengine.dist import get_world_size
from torch import Tensor

from ..errors import UserError
from ..masks.targets import InPlaceOfMasks
from ..text import listed, plural

#: Settings of ``test_cfg`` that are one of some words.
_CHOICES = dict(mask_format=('bitmap', 'rle'), kernel=('gaussian', 'linear'))

#: Those that are scores or probabilities.
_SHARES = ('score_thr', 'mask_thr', 'filter_thr', 'hole_thr')


def _kind(value):
    """What a setting is, in words; '' of what may be anything."""
    if isinstance(value, bool):
        return 'True or False'
    if isinstance(value, (int, float)):
        return 'a number'
    return 'text' if isinstance(value, str) else ''


def complete_test_cfg(head: str, given: Mapping | None, defaults: Mapping) -> dict[str, Any]:
    """``test_cfg`` with the published settings for what it leaves out.

    Args:
        head: Name of the head, for the message.
        given: What the config says.
        defaults: Every setting that the head reads.

    Raises:
        ValueError: A setting that the head does not read, or text where a number belongs.
    """
    unknown = set(given or ()) - set(defaults)
    if unknown:
        raise ValueError(f'test_cfg of {head} has no {", ".join(sorted(unknown))}; '
                         f'it knows {", ".join(defaults)}')
    for key, value in (given or {}).items():
        words = _kind(defaults[key])
        if words and _kind(value) != words:
            raise ValueError(f'test_cfg.{key} of {head} must be {words}, not {value!r}')
        if key in _SHARES and not 0 <= value <= 1:
            raise ValueError(f'test_cfg.{key} of {head} must be from 0 to 1, not {value!r}')
        if value not in _CHOICES.get(key, (value, )):
            raise ValueError(f'test_cfg.{key} of {head} must be '
                             f'{" or ".join(map(repr, _CHOICES[key]))}, not {value!r}')
    return {**defaults, **(given or {})}


def check_groups(norm_cfg: Mapping | None, **channels: int) -> None:
    """See that the groups of a GroupNorm divide the channels that it normalizes.

    Args:
        norm_cfg: Of a head; other norms have no groups.
        channels: Numbers of channels, by the name of the setting.

    Raises:
        ValueError: Naming both settings.
    """
    groups = (norm_cfg or {}).get('num_groups')
    for name, count in channels.items():
        if groups and count % groups:
            raise ValueError(
                f'{name}={count} is not a multiple of the num_groups={groups} of norm_cfg: set '
                f'norm_cfg.num_groups to a divisor of {count}, or another {name}')


def check_grids(strides: Sequence[int], scale_ranges: Sequence[tuple[float, float]],
                num_grids: Sequence[int], pos_scale: float, stacked_convs: int) -> None:
    """See that a head of grids can learn with its settings.

    Args:
        strides: By level.
        scale_ranges: (lowest, highest) object size of each level.
        num_grids: Cells along a side, by level.
        pos_scale: Share of a box whose cells are positive.
        stacked_convs: Convolutions of a tower.

    Raises:
        ValueError: Numbers of levels that differ, or a setting with which nothing is learned.
    """
    if not len(strides) == len(scale_ranges) == len(num_grids):
        raise ValueError(f'strides, scale_ranges and num_grids have {len(strides)}, '
                         f'{len(scale_ranges)} and {len(num_grids)} levels')
    check_ranges('scale_ranges', scale_ranges)
    if not all(isinstance(grid, Integral) and grid > 0 for grid in num_grids):
        raise ValueError(f'num_grids must be whole numbers from 1, not {tuple(num_grids)}')
    if not pos_scale > 0:
        raise ValueError(f'pos_scale must be more than 0, not {pos_scale}: no cell would be '
                         'positive')
    if stacked_convs < 1:
        raise ValueError(f'stacked_convs must be at least 1, not {stacked_convs}')


def check_ranges(name: str, ranges: Sequence[tuple[float, float]]) -> None:
    """See that every level has a range of sizes that it learns.

    Args:
        name: Of the setting, for the message.
        ranges: (lowest, highest) of each level.

    Raises:
        ValueError: A range with nothing in it.
    """
    for span in ranges:
        if len(span) != 2 or not span[0] < span[1]:
            raise ValueError(f'{name} must be (lowest, highest) of each level, not {tuple(span)}')


def counts_of_batch(counts: Tensor, sync: bool) -> tuple[Tensor, float]:
    """What losses are divided by, and the least that they may be divided by.

    Args:
        counts: Float tensor of numbers of instances, cells, ...
        sync: Whether to take the mean over all processes, with which N processes learn what one
            does with the N-fold batch; gradients are averaged.

    Returns:
        The counts, and one over the number of processes that they are of.
    """
    return (reduce_mean(counts), 1 / get_world_size()) if sync else (counts, 1.0)


def check_channels(features: Tensor, channels: int) -> None:
    """See that a head gets the channels that it is built for.

    Args:
        features: (B, C, h, w).
        channels: ``in_channels`` of the head.

    Raises:
        UserError: C is another number.
    """
    if features.shape[1] != channels:
        raise UserError(f'the head gets maps of {plural(features.shape[1], "channel")}, but has '
                        f'in_channels={channels}: set model.mask_head.in_channels='
                        f'{features.shape[1]}, or model.neck to one whose maps have {channels}')


def check_levels(levels: Sequence[Tensor], channels: int, count: int, where: str) -> None:
    """See that a head gets the pyramid that it is built for.

    Args:
        levels: Each (B, C, h, w).
        channels: ``in_channels`` of the head.
        count: Levels of the head.
        where: Dotted name of the head, for the message.

    Raises:
        UserError: Another number of levels, or other channels.
    """
    got = [level.shape[1] for level in levels]
    if got == [channels] * count:
        return
    said = f'{where} gets {plural(len(got), "map")} of {listed(sorted(set(got)))} channels, but ' \
           f'is built for {count} of {channels}'
    if set(got) == {channels}:
        raise UserError(f'{said}: set model.neck.num_outs={count}, or give the head as many '
                        'strides and ranges as there are maps')
    if len(got) == count and len(set(got)) == 1:
        raise UserError(f'{said}: set {where}.in_channels={got[0]}, or model.neck to one whose '
                        f'maps have {channels}')
    raise UserError(f"{said}: set model.neck, such as dict(type='FPN', in_channels="
                    f'{got}, out_channels={channels}, num_outs={max(count, len(got))})')


def check_mask_sizes(instances: InstanceList, metas: Sequence[dict] | None) -> None:
    """See that ground-truth masks are of the images that the network sees.

    Args:
        instances: Of each image, with ``masks``.
        metas: With ``img_shape`` and ``batch_input_shape``; nothing is seen without.

    Raises:
        UserError: They are of another size.
    """
    for gt, meta in zip(instances, metas or ()):
        masks = gt.get('masks')
        if masks is None or not len(masks):
            continue
        size = tuple(masks.shape[-2:]) if hasattr(masks, 'shape') else (masks.height, masks.width)
        sizes = [tuple(meta[key][:2]) for key in ('img_shape', 'batch_input_shape', 'pad_shape')
                 if key in meta]
        if sizes and size not in sizes:
            raise UserError(
                f'the masks of {meta.get("img_path", "an image")} have {size[0]} x {size[1]} '
                f'pixels, its image {sizes[0][0]} x {sizes[0][1]}: something resizes images and '
                'not their masks, as BatchSyncRandomResize does; resize in the pipeline instead')


def check_map_size(size: Sequence[int], stride: int, metas: Sequence[dict] | None,
                   where: str) -> None:
    """See that a network's mask maps have the stride that the head takes them to have.

    Args:
        size: (h, w) of the finest maps.
        stride: What the head is told.
        metas: With ``batch_input_shape``; nothing is seen without.
        where: Dotted name of the setting, for the message.

    Raises:
        UserError: Another stride.
    """
    whole = metas[0].get('batch_input_shape') if metas else None
    if whole is None or _has_stride(size, stride, whole):
        return
    found = round(whole[0] / size[0])
    if found == stride:
        raise UserError(
            f'maps of {size[0]} x {size[1]} do not fit an input of {whole[0]} x {whole[1]}, whose '
            'sides the network halves several times: set model.data_preprocessor.pad_size_divisor '
            '(32 suits most backbones)')
    raise UserError(
        f'maps of {size[0]} x {size[1]} for an input of {whole[0]} x {whole[1]} have stride '
        f'{found}, but the head has mask_stride={stride}: set {where}={found}, '
        f'or give the head a neck whose first level has stride {stride}')


def check_strides(sizes: Sequence[Sequence[int]], strides: Sequence[int],
                  metas: Sequence[dict] | None, where: str) -> None:
    """See that the levels of a pyramid have the strides that a head takes them to have.

    Args:
        sizes: (h, w) of each level.
        strides: What the head is told.
        metas: With ``batch_input_shape``; nothing is seen without.
        where: Dotted name of the head, for the message.

    Raises:
        UserError: Other strides.
    """
    whole = metas[0].get('batch_input_shape') if metas else None
    if whole is None or all(_has_stride(size, stride, whole)
                            for size, stride in zip(sizes, strides)):
        return
    found = tuple(2**round(math.log2(max(whole) / max(size))) for size in sizes)
    raise UserError(f'the maps that {where} gets for an input of {whole[0]} x {whole[1]} have '
                    f'strides {found}, but the head has strides={tuple(strides)}: set '
                    f'{where}.strides={found}, or model.neck to one with those of the head')


def _has_stride(size, stride, whole):
    """Whether a map (h, w) of an input has a stride: of an input that no stride divides, each
    level rounds up once more."""
    return all(abs(part - side / stride) <= 1 for part, side in zip(size, whole))


def refuse_targets(masks: object, step: str) -> None:
    """Refuse targets that the pipeline has made of masks for another head.

    Args:
        masks: Of an image.
        step: What makes those of this head.

    Raises:
        UserError: They are targets.
    """
    if isinstance(masks, InPlaceOfMasks):
        raise UserError(f'{masks.made_by} makes targets of another head: take {step}, or leave it '
                        'out')
