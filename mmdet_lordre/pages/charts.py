"""Lines and bars as SVG in the page: they scale, print and follow the page's theme."""
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ..text import printable
from .axes import Axis, axis, number

#: Points of a line that are drawn at most; of more, the highest and lowest of each step stay.
_POINTS = 600
#: Colors of the style sheet: classes ``c0`` to ``c7``.
_COLORS = 8
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 10, 40


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
        name: For the legend.
        x, y: Numbers of equal count; the line has a gap where one is not finite.
        color: Number of a color; by default the place in the list.
        dashed: Whether the line is dashed.
        dots: Whether each point is marked.
        band: Lower and upper values of each point, drawn as an area.
    """
    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int | None = None
    dashed: bool = False
    dots: bool = False
    band: tuple[Sequence[float], Sequence[float]] | None = None


def line_chart(series: Sequence[Series], title: str, x_label: str = '', y_label: str = '',
               x_range: tuple[float, float] | None = None,
               y_range: tuple[float, float] | None = None, log_y: bool = False,
               size: tuple[int, int] = (560, 280), diagonal: bool = False) -> Markup:
    """Lines over a common axis.

    Args:
        series: Those without any finite point are left out.
        title: What the chart shows, for those who do not see it.
        x_label, y_label: Of the axes.
        x_range, y_range: Ends of the axes; by default those of the data, rounded.
        log_y: Whether the vertical axis is logarithmic; values of 0 and below are gaps then.
        size: Width and height in the units of the drawing; it is as wide as its place in the page.
        diagonal: Whether the line y = x is drawn.

    Returns:
        A ``<figure>``, or a paragraph where there is nothing to draw.
    """
    lines = []
    for index, line in enumerate(series):
        x, y = np.asarray(line.x, float), np.asarray(line.y, float)
        good = np.isfinite(x) & np.isfinite(y) & ((y > 0) if log_y else True)
        if good.any():
            color = index if line.color is None else line.color
            lines.append((line, x, np.where(good, y, np.nan), color % _COLORS))
    if not lines:
        return Markup('<p class="none">nothing to draw: {}</p>').format(printable(title))
    across = axis([x for _, x, _, _ in lines], x_range, _LEFT, size[0] - _RIGHT)
    along = axis([y for _, _, y, _ in lines] + [np.asarray(b, float) for line, *_ in lines
                                                for b in line.band or ()],
                 y_range, size[1] - _BOTTOM, _TOP, log_y)
    parts = [_frame(across, along, x_label, y_label, size)]
    if diagonal:
        low, high = max(across.low, along.low), min(across.high, along.high)
        parts.append(Markup('<path class="guide" d="M{} {}L{} {}"/>').format(
            *(number(v) for v in (across(low), along(low), across(high), along(high)))))
    for line, x, y, color in lines:
        if line.band is not None:
            parts.append(_band(line, x, color, across, along))
        parts.append(Markup('<path class="line c{}{}" d="{}"/>').format(
            color, ' dashed' if line.dashed else '', _path(*_thinned(x, y), across, along)))
        if line.dots:
            parts += [Markup('<circle class="dot c{}" cx="{}" cy="{}" r="3"><title>{}</title>'
                             '</circle>').format(color, number(across(a)), number(along(b)),
                                                 f'{printable(line.name)}: {a:g}, {b:.4g}')
                      for a, b in zip(*_thinned(x, y)) if np.isfinite(b)]
    return _figure(title, parts, size, [(line.name, color) for line, _, _, color in lines])


def bar_chart(names: Sequence[str], values: Sequence[float], title: str,
              intervals: Sequence[tuple[float, float]] | None = None, digits: int = 3,
              colors: Sequence[int] | None = None) -> Markup:
    """Horizontal bars, one below the other, with names and numbers.

    Args:
        names: One for each bar.
        values: 0 or more; NaN has no bar.
        title: What the chart shows.
        intervals: Lower and upper end of each, drawn as whiskers.
        digits: Decimals of the numbers.
        colors: Number of a color for each; by default all have the first.
    """
    count = len(names)
    if not count:
        return Markup('<p class="none">nothing to draw: {}</p>').format(printable(title))
    values = np.asarray(values, float)
    ends = [values] + ([np.asarray(intervals, float).ravel()] if intervals is not None else [])
    most = max((float(np.nanmax(v)) for v in ends if np.isfinite(v).any()), default=1) or 1
    step, left, width = 24, 150, 560
    full = width - left - 64
    parts = []
    for i, (name, value) in enumerate(zip(names, values.tolist())):
        y = i * step + 4
        shown = 0 if math.isnan(value) else min(max(value / most, 0), 1) * full
        parts.append(Markup(
            '<text class="name" x="{}" y="{}">{}<title>{}</title></text>'
            '<rect class="bar c{}" x="{}" y="{}" width="{}" height="{}" rx="2"/>').format(
                left - 8, y + 12, printable(name, 24), printable(name),
                (colors[i] if colors is not None else 0) % _COLORS, left, y, number(shown),
                step - 8))
        at = shown
        if intervals is not None and all(map(math.isfinite, intervals[i])):
            low, high = (min(max(v / most, 0), 1) * full for v in intervals[i])
            at = max(at, high)
            middle = y + (step - 8) / 2
            parts.append(Markup('<path class="whisker" d="M{0} {2}L{1} {2}M{0} {3}v6M{1} {3}v6"/>'
                                ).format(number(left + low), number(left + high), number(middle),
                                         number(middle - 3)))
        parts.append(Markup('<text class="value" x="{}" y="{}">{}</text>').format(
            number(left + at + 6), y + 12,
            '\N{EN DASH}' if math.isnan(value) else f'{value:.{digits}f}'))
    return _figure(title, parts, (width, count * step + 4), [])


def _figure(title: str, parts: Sequence[Markup], size: tuple[int, int],
            legend: Sequence[tuple[str, int]]) -> Markup:
    svg = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        *size, printable(title), Markup('').join(parts))
    names = Markup('').join(Markup('<span><i class="key c{}"></i>{}</span>').format(
        color, printable(name)) for name, color in legend)
    caption = Markup('<figcaption>{}</figcaption>').format(names) if len(legend) > 1 else ''
    return Markup('<figure class="chart">{}{}</figure>').format(svg, caption)


def _frame(across: Axis, along: Axis, x_label: str, y_label: str,
           size: tuple[int, int]) -> Markup:
    width, height = size
    parts = []
    for tick, text in along.ticks:
        y = number(along(tick))
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/><text class="tick y" x="{}" '
                            'y="{}">{}</text>').format(_LEFT, y, width - _RIGHT, _LEFT - 6,
                                                       number(along(tick) + 4), text))
    for tick, text in across.ticks:
        parts.append(Markup('<text class="tick x" x="{}" y="{}">{}</text>').format(
            number(across(tick)), height - _BOTTOM + 16, text))
    parts.append(Markup('<path class="axis" d="M{} {}H{}"/>').format(
        _LEFT, height - _BOTTOM, width - _RIGHT))
    parts.append(Markup('<text class="label x" x="{}" y="{}">{}</text>').format(
        (_LEFT + width - _RIGHT) // 2, height - 6, printable(x_label)))
    parts.append(Markup('<text class="label y" transform="translate(12 {}) rotate(-90)">{}</text>'
                        ).format((_TOP + height - _BOTTOM) // 2, printable(y_label)))
    return Markup('').join(parts)


def _band(line: Series, x: np.ndarray, color: int, across: Axis, along: Axis) -> Markup:
    low, high = (np.asarray(values, float) for values in line.band)
    good = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    x, low, high = x[good], low[good], high[good]
    path = _path(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]), across, along)
    return Markup('<path class="band c{}" d="{}Z"/>').format(color, path) if len(x) > 1 else ''


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most about ``_POINTS`` points: of every step the lowest and the highest."""
    if len(x) <= _POINTS:
        return x, y
    step = -(-2 * len(x) // _POINTS)
    kept = {0, len(x) - 1}
    for start in range(0, len(x), step):
        part = y[start:start + step]
        if np.isfinite(part).any():
            kept |= {start + int(np.nanargmin(part)), start + int(np.nanargmax(part))}
        else:
            kept.add(start)
    kept = sorted(kept)
    return x[kept], y[kept]


def _path(x: np.ndarray, y: np.ndarray, across: Axis, along: Axis) -> str:
    parts, drawn = [], 0
    for a, b in [*zip(x.tolist(), y.tolist()), (math.nan, math.nan)]:
        if math.isfinite(a) and math.isfinite(b):
            parts.append(f'{"L" if drawn else "M"}{number(across(a))} {number(along(b))}')
            drawn += 1
            continue
        if drawn == 1:
            parts.append('h0')  # a point alone is a dot
        drawn = 0
    return ''.join(parts)
