"""What data say reaches the terminal as plain text, in one line."""
import cv2
import mmcv
import numpy as np
import pytest

from mmdet_lordre.cli.main import explain
from mmdet_lordre.errors import UserError
from mmdet_lordre.text import agree, columns, listed, plural, printable, quoted, with_article


@pytest.mark.parametrize('text, shown', [
    ('\u00fc \u56fe #1 %s', '\u00fc \u56fe #1 %s'), ('\x1b[31mred\x07', '\\x1b[31mred\\x07'),
    ('a\nb\r\tc', 'a\\nb\\r\\tc'), ('\u202egpj.a', '\\u202egpj.a'), ('\ud800', '\\ud800'),
    ('\U000e0001', '\\U000e0001')])
def test_printable(text, shown):
    assert printable(text) == shown and printable(shown) == shown
    assert explain(UserError(f'{text.split()[0]} x')) == f'{shown.split()[0]} x'.replace(
        'a\\nb\\r\\tc', 'a')


def test_length():
    assert len(printable('n' * 100_000, 50)) < 50 and printable('abc', 50) == 'abc'
    assert 'too large' in printable(10**5000)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert 'too large' in printable(deep)
    assert listed(['n' * 1000] * 1000, 3).count('...') == 4


def test_columns():
    rows = [('', 'count', 'what'), ('a', '1', ''), ('bcd', '22', 'it is')]
    assert columns(rows, '<><') == ['     count  what', 'a        1', 'bcd     22  it is']
    assert columns([('', 'a')], '<>') == ['  a']


def test_words():
    assert (quoted('a'), quoted(1), quoted(None)) == ("'a'", '1', 'None')
    assert (plural(1, 'class'), plural(2, 'class'), plural(0, 'image')) == (
        '1 class', '2 classes', '0 images')
    assert plural(2, 'box') == '2 boxes' and plural(1, 'box') == '1 box'
    assert (agree(1, 'is', 'are'), agree(0, 'is', 'are'), agree(2, 'is', 'are')) == (
        'is', 'are', 'are')


def test_an_error_of_a_data_loading_worker():
    """torch puts the traceback there before it."""
    quoted_source = ('Caught UserError in DataLoader worker process 0.\nOriginal Traceback (most '
                     'recent call last):\n  File "a.py", line 1\nmmdet_lordre.errors.UserError: ')
    assert explain(UserError(f'{quoted_source}put it last\n')) == 'put it last'


def test_a_picture_that_is_too_thin_to_be_resized():
    """OpenCV's words for it, in a worker or not."""
    with pytest.raises(cv2.error) as error:
        mmcv.imrescale(np.zeros((1, 300, 3), np.uint8), (100, 100))
    assert 'so long and thin' in explain(error.value)


def test_articles():
    assert [with_article(word) for word in ('cat', 'object', 'Apple')] == [
        'a cat', 'an object', 'an Apple']
