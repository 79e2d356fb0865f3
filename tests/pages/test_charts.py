"""Charts: where lines go, what is left out, and names that are markup."""
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from mmdet_lordre.pages import Series, bar_chart, line_chart
from mmdet_lordre.pages.axes import axis


def drawn(chart, kind):
    """Attribute lists of the elements of a class."""
    return [node for node in ET.fromstring(str(chart)).iter()
            if kind in node.get('class', '').split()]


def places(path):
    return [tuple(map(float, pair.split())) for pair in
            re.split('[ML]', path.replace('h0', ''))[1:]]


def test_a_line_goes_from_corner_to_corner():
    chart = line_chart([Series('a', [0, 5, 10], [0, 0.5, 1])], 'title', 'x', 'y')
    line, = drawn(chart, 'line')
    first, middle, last = places(line.get('d'))
    assert first == (52, 240) and last == (546, 10)  # the frame of the drawing
    assert middle == pytest.approx((299, 125))
    texts = [node.text for node in drawn(chart, 'tick')]
    assert texts == ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0', '0', '2', '4', '6', '8', '10']
    assert 'title' in chart and 'figcaption' not in chart


def test_what_is_not_finite_is_a_gap():
    y = [1, 2, math.nan, 4, math.inf, 6]
    chart = line_chart([Series('a', range(6), y), Series('b', [1], [math.nan])], 't')
    line, = drawn(chart, 'line')
    assert line.get('d').count('M') == 3 and len(places(line.get('d'))) == 4
    assert line.get('d').count('h0') == 2  # points alone are dots
    assert 'nothing to draw: t' in line_chart([], 't')
    assert 'nothing to draw' in line_chart([Series('a', [], [])], 't')


def test_one_point_and_one_value():
    for y in ([0.0], [3.0, 3.0]):
        line, = drawn(line_chart([Series('a', range(len(y)), y)], 't'), 'line')
        assert all(52 <= a <= 546 and 10 <= b <= 240 for a, b in places(line.get('d')))


def test_many_points_keep_their_extremes():
    y = np.zeros(100_000)
    y[50_123], y[77_777] = 1, -1
    line, = drawn(line_chart([Series('a', np.arange(100_000), y)], 't'), 'line')
    heights = {b for _, b in places(line.get('d'))}
    assert len(line.get('d')) < 12_000 and {10, 240} <= heights


def test_logarithms_leave_out_what_has_none():
    chart = line_chart([Series('a', [0, 1, 2, 3], [1, 0, 0.01, 100])], 't', log_y=True)
    line, = drawn(chart, 'line')
    assert [b for _, b in places(line.get('d'))] == [125, 240, 10]
    assert [node.text for node in drawn(chart, 'y') if 'tick' in node.get('class')] == [
        '0.01', '0.1', '1', '10', '100']


def test_bars():
    chart = bar_chart(['a', 'b', 'c'], [0.5, 1.0, math.nan], 't', intervals=[
        (0.25, 0.75), (0.9, 1.0), (math.nan, math.nan)])
    widths = [float(node.get('width')) for node in drawn(chart, 'bar')]
    assert widths == [173, 346, 0]
    assert [node.text for node in drawn(chart, 'value')] == ['0.500', '1.000', '\N{EN DASH}']
    assert len(drawn(chart, 'whisker')) == 2
    assert 'nothing to draw' in bar_chart([], [], 't')


@pytest.mark.parametrize('name', ['<script>alert(1)</script>', '" onload="x', '\x1b\u202e&amp;'])
def test_names_are_text(name):
    for chart in (line_chart([Series(name, [0], [1], dots=True), Series('b', [0], [1])], name,
                             name, name), bar_chart([name], [1], name)):
        root = ET.fromstring(str(chart))  # well-formed
        assert not [node for node in root.iter() if node.tag == 'script']
        assert not any(key.startswith('on') for node in root.iter() for key in node.attrib)
        assert all(text.isprintable() for text in root.itertext())


@pytest.mark.parametrize('low, high, ticks', [
    (0, 1, ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']), (0, 90_000, ['0', '20k', '40k', '60k',
                                                                     '80k', '100k']),
    (-3, 7, ['-4', '-2', '0', '2', '4', '6', '8'])])
def test_ticks_are_round(low, high, ticks):
    assert [text for _, text in axis([np.array([low, high])], None, 0, 100).ticks] == ticks
