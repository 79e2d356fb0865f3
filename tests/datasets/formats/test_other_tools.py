"""Exports of tools that are not read say who wrote them; FiftyOne's COCO is read."""
import pytest

from mmdet_lordre.datasets.formats import open_data
from mmdet_lordre.errors import UserError

from .scene import HEIGHT, WIDTH, photo, text

ASSET = dict(asset=dict(id='k', name='0.jpg'), regions=[], version='2.2.0')
OTHERS = [
    ('VoTT', 'x-export.json', dict(name='x', tags=[dict(name='a')], assets=dict(k=ASSET))),
    ('VoTT', 'k-asset.json', ASSET),
    ('Label Studio', 'project.json', [dict(id=1, annotations=[dict(result=[])],
                                           data=dict(image='/data/upload/1/0.jpg'))]),
    ('Datumaro', 'annotations/default.json', dict(
        info={}, categories=dict(label=dict(labels=[dict(name='a')])),
        items=[dict(id='0', annotations=[], image=dict(path='0.jpg'))]))]


@pytest.mark.parametrize('alone', [False, True])
@pytest.mark.parametrize('tool, name, content', OTHERS)
def test_formats_of_their_own(tool, name, content, alone, tmp_path):
    photo(tmp_path / '0.jpg')
    path = text(tmp_path / name, content)
    with pytest.raises(UserError, match=f'{name} was written by {tool}.* COCO'):
        open_data(path if alone else tmp_path)


@pytest.mark.parametrize('parts', [[''], ['train', 'val']])
def test_fiftyone(parts, tmp_path):
    for part in parts:
        photo(tmp_path / part / 'data' / '0.jpg')
        text(tmp_path / part / 'labels.json', dict(
            info={}, licenses=[], categories=[dict(id=0, name='cat')], images=[dict(
                id=1, file_name='0.jpg', width=WIDTH, height=HEIGHT)], annotations=[]))
    found = open_data(tmp_path)
    assert list(found) == [part or 'train' for part in parts]
    assert [data.folder for data in found.values()] == [
        str(tmp_path / part / 'data') for part in parts]
