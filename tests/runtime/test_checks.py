"""What is looked at before training starts."""
import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmdet_lordre.runtime import UserError, checks
from mmdet_lordre.runtime.checks import (
    bad_annotations,
    check_class_counts,
    check_data,
    check_images,
)

from ..tools.tiny import IDS, NAMES, make_coco, read_json, write_json


@pytest.fixture
def data(tmp_path):
    return read_json(make_coco(tmp_path, count=4))


def config(folder, **metainfo):
    return Config(dict(
        model=dict(mask_head=dict(type='LordreHead', num_classes=len(NAMES))),
        train_dataloader=dict(dataset=dict(
            type='CocoDataset', data_root=str(folder), ann_file='annotations.json',
            data_prefix=dict(img='images'), metainfo=metainfo or dict(classes=NAMES)))))


def test_a_good_data_set_has_no_problems(data, tmp_path):
    assert list(bad_annotations(data)) == []
    check_data(config(tmp_path), ('train', 'val', 'test'))
    check_class_counts(config(tmp_path))


@pytest.mark.parametrize('change, said', [
    (dict(segmentation=[[1, 2, 3, 4]]), 'polygon of 2 points'),
    (dict(segmentation=[[1, 1, 9, 1, 9, 9], [1, 2, 3, 4]]), 'polygon of 2 points'),
    (dict(segmentation=[[1, 1, 9, 1, 9, 9, 4]]), '7 numbers'),
    (dict(segmentation=[1, 1, 9, 1, 9, 9]), 'not a list of polygons'),
    (dict(segmentation=dict(size=[64, 48], counts=[0])), '64x48 .height x width., the image 48x64'),
    (dict(segmentation=dict(size=[48, 64])), 'lacks size or counts'),
    (dict(image_id=99), 'image_id is not in'),
    (dict(category_id=IDS[0] + 1), 'category_id 4 is not in'),
    (dict(bbox=[1, 2, 3]), 'no bbox'),
    (dict(area=None), 'no area')])
def test_bad_annotations(data, change, said, tmp_path):
    data['annotations'][0].update(change)
    lines = list(bad_annotations(data))
    assert len(lines) == 1 and lines[0].startswith('annotation 1 (image ')
    write_json(tmp_path / 'annotations.json', data)
    with pytest.raises(UserError, match=said) as error:
        check_data(config(tmp_path), ('train',))
    assert f'{tmp_path}/annotations.json' in str(error.value)
    warned = []
    check_data(config(tmp_path), ('train',), skip_bad=True, warn=warned.append)
    assert len(warned) == 1


def test_no_segmentation_is_allowed(data):
    """Boxes alone are mmdet's to judge: a crowd or a detector may need no masks."""
    del data['annotations'][1]['segmentation']
    data['annotations'][2]['segmentation'] = []
    assert list(bad_annotations(data)) == []


def test_images_turned_by_their_orientation_tag(data, tmp_path):
    """The header says 48x64 for a photograph that is loaded as 64x48."""
    image = data['images'][0]
    image['width'], image['height'] = image['height'], image['width']
    check_images(data, 'a.json', str(tmp_path / 'images'))


def test_every_image_is_looked_at(data, tmp_path):
    cv2.imwrite(str(tmp_path / 'images' / '03.png'), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UserError, match=r'03\.png is 9x9'):
        check_images(data, 'a.json', str(tmp_path / 'images'))


def test_headers_are_read_for_a_limited_time(data, tmp_path, monkeypatch):
    """Existence is checked all the same."""
    monkeypatch.setattr(checks, 'HEADER_SECONDS', -1.0)
    (tmp_path / 'images' / '03.png').write_text('no image')
    check_images(data, 'a.json', str(tmp_path / 'images'))
    (tmp_path / 'images' / '03.png').unlink()
    with pytest.raises(UserError, match='missing on disk'):
        check_images(data, 'a.json', str(tmp_path / 'images'))


def test_images_in_folders(data, tmp_path):
    (tmp_path / 'images' / 'a').mkdir()
    (tmp_path / 'images' / '02.png').rename(tmp_path / 'images' / 'a' / '02.png')
    data['images'][2]['file_name'] = 'a/02.png'
    check_images(data, 'a.json', str(tmp_path / 'images'))


def test_classes_of_config_and_file(data, tmp_path):
    with pytest.raises(UserError, match="no category 'cow'"):
        check_data(config(tmp_path, classes=('dot', 'cow')), ('train',))
    # labels follow the order of the file: another order in the config would rename classes
    with pytest.raises(UserError, match='labels follow the file'):
        check_data(config(tmp_path, classes=NAMES[::-1]), ('train',))
    check_data(config(tmp_path, classes=(NAMES[0], NAMES[2])), ('train',))


def test_class_counts(tmp_path):
    cfg = config(tmp_path)
    cfg.model.mask_head.num_classes = 5
    with pytest.raises(UserError, match=r'model\.mask_head\.num_classes=5.*3 classes'):
        check_class_counts(cfg)
