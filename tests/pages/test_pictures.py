"""Pictures in pages: of a known size, and decoded again."""
import base64

import cv2
import numpy as np
import pytest

from mmdet_lordre.pages import data_uri, thumbnail


def decoded(uri):
    kind, data = uri.split(';base64,')
    assert kind == 'data:image/jpeg'
    data = base64.b64decode(data)
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1], len(data)


@pytest.mark.parametrize('shape, expected', [
    ((480, 640), (120, 160)), ((640, 480), (160, 120)), ((90, 100), (90, 100)),
    ((1, 4000), (1, 160)), ((1, 1), (1, 1))])
def test_the_longer_side_is_shrunk(shape, expected):
    image, _ = decoded(thumbnail(np.full((*shape, 3), (200, 40, 90), np.uint8)))
    assert image.shape[:2] == expected
    assert np.abs(image.mean((0, 1)) - (200, 40, 90)).max() < 4  # red is red


def test_noise_stays_within_its_bytes():
    image = np.random.default_rng(0).integers(0, 256, (500, 700, 3), np.uint8)
    for limit in (1_000, 12_000, 50_000):
        assert decoded(thumbnail(image, 320, limit))[1] <= limit


def test_any_file():
    assert data_uri(b'\x00\xff', 'image/png') == 'data:image/png;base64,AP8='
