"""What is looked at before training starts."""
import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmdet_lordre.config import checks
from mmdet_lordre.config.checks import check_class_counts, check_data, use_files
from mmdet_lordre.datasets.coco_file import clean_name
from mmdet_lordre.errors import UserError

from ..cli.tiny import NAMES, make_coco, read_json, write_json


@pytest.fixture
def data(tmp_path):
    return read_json(make_coco(tmp_path, count=4))


def check_images(data, folder):
    write_json(folder / 'annotations.json', data)
    check_data(config(folder), ('train',))


def config(folder, **metainfo):
    return Config(dict(
        model=dict(mask_head=dict(type='LordreHead', num_classes=len(NAMES))),
        train_dataloader=dict(dataset=dict(
            type='CocoDataset', data_root=str(folder), ann_file='annotations.json',
            data_prefix=dict(img='images'), metainfo=metainfo or dict(classes=NAMES)))))


def test_a_good_data_set_has_no_problems(data, tmp_path):
    check_data(config(tmp_path), ('train', 'val', 'test'))
    check_class_counts(config(tmp_path))


def test_bad_annotations(data, tmp_path):
    """The first one is named; with skip_bad a copy without it is made."""
    data['annotations'][0]['segmentation'] = [[1, 2, 3, 4]]
    data['annotations'][1]['bbox'] = [1, 2, 3]
    write_json(tmp_path / 'annotations.json', data)
    with pytest.raises(UserError, match=r'annotation 1 \(image 00\.png\): a polygon of 2 '
                                        r'points has no area \(and 1 more\)') as error:
        check_data(config(tmp_path), ('train',))
    assert f'{tmp_path}/annotations.json' in str(error.value)
    warned = []
    cfg = config(tmp_path)
    copies = check_data(cfg, ('train',), skip_bad=True, clean_to=str(tmp_path / 'clean'),
                        warn=warned.append)
    assert len(warned) == 2 and 'left out' in warned[0] and 'can be learned' in warned[1]
    use_files(cfg, copies)
    path = cfg.train_dataloader.dataset.ann_file
    assert path == clean_name(str(tmp_path / 'annotations.json'), str(tmp_path / 'clean'))
    left = read_json(path)
    assert left['images'] == data['images'] and left['annotations'] == data['annotations'][2:]


def test_bad_images_are_left_out_when_asked(data, tmp_path):
    (tmp_path / 'images' / '01.png').unlink()
    (tmp_path / 'images' / '02.png').write_text('no image')
    copies = check_data(config(tmp_path), ('train',), skip_bad=True,
                        clean_to=str(tmp_path / 'clean'), warn=lambda line: None)
    left = read_json(*copies.values())
    assert [image['file_name'] for image in left['images']] == ['00.png', '03.png']
    assert {a['image_id'] for a in left['annotations']} == {100, 103}
    with pytest.raises(UserError, match='image missing on disk'):
        check_data(config(tmp_path), ('train',), skip_bad=True, skip_images=False,
                   warn=lambda line: None)


def test_each_command_is_advised_of_what_it_has(data, tmp_path):
    (tmp_path / 'images' / '01.png').unlink()
    cfg = config(tmp_path)
    cfg.test_dataloader = cfg.train_dataloader
    for split, skip_bad, said in (
            ('train', False, 'or use --skip-bad to train without such images'),
            ('test', True, 'or test on a copy without such images, which lordre check --clean')):
        with pytest.raises(UserError, match=f'fix or replace it, {said}'):
            check_data(cfg, (split,), skip_bad=skip_bad, skip_images=False)


def test_masks_are_asked_for_where_the_pipeline_reads_them(data, tmp_path):
    del data['annotations'][1]['segmentation']
    write_json(tmp_path / 'annotations.json', data)
    cfg = config(tmp_path)
    check_data(cfg, ('train',))
    cfg.train_dataloader.dataset.pipeline = [dict(type='LoadAnnotations', with_mask=True)]
    with pytest.raises(UserError, match=r'annotation 2 .* has no segmentation'):
        check_data(cfg, ('train',))


def test_every_image_is_looked_at(data, tmp_path):
    cv2.imwrite(str(tmp_path / 'images' / '03.png'), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(UserError, match=r'03\.png is 9x9'):
        check_images(data, tmp_path)


def test_headers_are_read_for_a_limited_time(data, tmp_path, monkeypatch):
    """Existence is checked all the same."""
    monkeypatch.setattr(checks, 'HEADER_SECONDS', -1.0)
    (tmp_path / 'images' / '03.png').write_text('no image')
    check_images(data, tmp_path)
    (tmp_path / 'images' / '03.png').unlink()
    with pytest.raises(UserError, match='missing on disk'):
        check_images(data, tmp_path)


def test_images_in_folders(data, tmp_path):
    (tmp_path / 'images' / 'a').mkdir()
    (tmp_path / 'images' / '02.png').rename(tmp_path / 'images' / 'a' / '02.png')
    data['images'][2]['file_name'] = 'a/02.png'
    check_images(data, tmp_path)


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


def test_files_of_one_name_have_clean_copies_of_their_own(tmp_path):
    """Roboflow's layout: a problem in each must not make training read the other's."""
    cfg = config(tmp_path)
    for split in ('train', 'valid'):
        ann = make_coco(tmp_path / split, '.', '_annotations.coco.json', count=4,
                        seed=len(split))
        data = read_json(ann)
        data['annotations'][0]['segmentation'] = [[1, 2, 3, 4]]
        write_json(ann, data)
        cfg[f'{split[:5].replace("valid", "val")}_dataloader'] = dict(dataset=dict(
            type='CocoDataset', data_root='', ann_file=ann, metainfo=dict(classes=NAMES),
            data_prefix=dict(img=str(tmp_path / split))))
    copies = check_data(cfg, ('train', 'val'), skip_bad=True, clean_to=str(tmp_path / 'clean'),
                        warn=lambda line: None)
    assert len(copies) == 2 and len(set(copies.values())) == 2
    use_files(cfg, copies)
    for loader, split in (('train', 'train'), ('val', 'valid')):
        left = read_json(cfg[f'{loader}_dataloader'].dataset.ann_file)
        original = read_json(tmp_path / split / '_annotations.coco.json')
        assert left['annotations'] == original['annotations'][1:]


def test_a_file_under_any_name_is_checked(data, tmp_path):
    for name in ('annotations.JSON', 'annotations', 'annotations.coco'):
        data['annotations'][0]['category_id'] = 999
        write_json(tmp_path / name, data)
        cfg = config(tmp_path)
        cfg.train_dataloader.dataset.ann_file = name
        with pytest.raises(UserError, match='category_id 999'):
            check_data(cfg, ('train',))


def test_classes_that_the_model_lacks_are_said(data, tmp_path):
    cfg = config(tmp_path, classes=(NAMES[0], NAMES[2]))
    cfg.test_dataloader = cfg.pop('train_dataloader')
    said = []
    check_data(cfg, ('test',), warn=said.append)
    count = sum(a['category_id'] == 7 for a in data['annotations'])
    assert len(said) == 1 and f'box {count}' in said[0] and 'the model does not know' in said[0]
    boxes = [a for a in data['annotations'] if a['category_id'] == 7]
    data['annotations'] = [a for a in data['annotations'] if a not in boxes[1:]]
    write_json(tmp_path / 'annotations.json', data)
    check_data(cfg, ('test',), warn=said.append)
    assert '1 annotation is of a class that the model does not know (box 1): it is left out, and ' \
        'the figures are of the other classes alone' in said[1]


def test_a_category_given_twice_is_refused_in_testing_too(data, tmp_path):
    data['categories'].append(dict(data['categories'][0]))
    write_json(tmp_path / 'annotations.json', data)
    cfg = config(tmp_path)
    cfg.test_dataloader = cfg.pop('train_dataloader')
    with pytest.raises(UserError, match=r"name of its own; twice: 'dot'"):
        check_data(cfg, ('test',))


def test_one_file_under_two_entries(data, tmp_path):
    said = []
    data['images'][1]['file_name'] = data['images'][0]['file_name']
    write_json(tmp_path / 'annotations.json', data)
    check_data(config(tmp_path), ('train',), warn=said.append)
    assert any('1 file is named by several images (00.png), and what one' in line for line in said)


def test_nothing_to_measure_on(data, tmp_path):
    said = []
    for annotation in data['annotations']:
        # a polygon without a pixel, so that neither box nor area can be computed
        annotation.update(iscrowd=0, area=0, segmentation=[[3.0, 3.0] * 3])
    write_json(tmp_path / 'annotations.json', data)
    cfg = config(tmp_path)
    cfg.test_dataloader = cfg.pop('train_dataloader')
    check_data(cfg, ('test',), skip_bad=True, warn=said.append)
    count = len(data['annotations'])
    unusable = f'none of its {count} annotations can be used for evaluation'
    assert any(unusable in line for line in said)


def test_tags_that_the_size_shows_are_not_warned_of(data, tmp_path):
    """Two images turned by a quarter and one mirrored: only of this the size tells nothing."""
    for index, (tag, stored) in enumerate(((6, (60, 40)), (8, (60, 40)), (2, (40, 60)))):
        exif = Image.Exif()
        exif[0x0112] = tag
        data['images'][index].update(file_name=f'{index}.jpg', width=40, height=60)
        Image.new('RGB', stored).save(tmp_path / 'images' / f'{index}.jpg', exif=exif)
    data['annotations'] = [a for a in data['annotations']
                           if a['image_id'] == data['images'][3]['id']]
    write_json(tmp_path / 'annotations.json', data)
    said = []
    check_data(config(tmp_path), ('train',), warn=said.append)
    line, = (line for line in said if 'orientation tag' in line)
    assert '1 image turned or mirrored by the orientation tag, which the size does not show (' \
        in line and '2.jpg' in line and 'lordre check' in line
