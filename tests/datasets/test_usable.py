"""What can be learned of a file is said, and nothing at all is an error."""
import pytest

from mmdet_lordre.datasets.annotation_rules import Problem, annotation_problems
from mmdet_lordre.datasets.usable import usable_annotations
from mmdet_lordre.errors import UserError

NAMES = ('cat', 'dog', 'cow')
SQUARE = [[2, 2, 9, 2, 9, 9, 2, 9]]


def annotation(number, category=1, **change):
    return dict(id=number, image_id=1, category_id=category, bbox=[2, 2, 7, 7], area=49.0,
                iscrowd=0, segmentation=SQUARE) | change


def usable(*annotations, classes=None):
    data = dict(images=[dict(id=1, file_name='a.png', width=20, height=20)],
                categories=[dict(id=i + 1, name=name) for i, name in enumerate(NAMES)],
                annotations=list(annotations))
    return usable_annotations(data, list(annotation_problems(data, need_masks=True)), classes)


def test_the_line():
    found = usable(annotation(1), annotation(2, 2), annotation(3, 2), annotation(4, iscrowd=1),
                   annotation(5, area=0))
    assert found.count == 3 and found.by_class == dict(cat=1, dog=2, cow=0)
    assert found.line('a.json') == (
        'a.json: 3 of 5 annotations in 1 image can be learned: dog 2, cat 1; no object of 1 class '
        '(cow); not learned: 1 crowd, 1 empty')
    found.demand_usable('a.json')


def test_classes_that_the_config_takes():
    found = usable(annotation(1), annotation(2, 2), classes=('dog', ))
    assert found.by_class == dict(dog=1) and found.reasons == {'of other classes': 1}


@pytest.mark.parametrize('annotations, said', [
    ([], '0 annotations'),
    ([annotation(1, iscrowd=1), annotation(2, iscrowd=1)], '--crowd-as-instances'),
    ([annotation(1, segmentation=[])], 'detectors of boxes'),
    ([annotation(1, bbox=[2, 2, 0, 0])], 'empty boxes'),
    ([annotation(1, bbox=[50, 50, 5, 5])], 'outside of their images'),
    ([annotation(1, segmentation=[[1, 2]])], 'bad polygon')])
def test_nothing_to_learn(annotations, said):
    with pytest.raises(UserError, match=r'a\.json: 0 ') as error:
        usable(*annotations).demand_usable('a.json')
    assert said in str(error.value)


def test_images_count_too():
    data = dict(images=[dict(id=i, file_name=f'{i}.png', width=20 * i, height=20 * i)
                        for i in (1, 2)], categories=[dict(id=1, name='cat')],
                annotations=[annotation(1), annotation(2, image_id=2)])
    small = usable_annotations(data, [], None, min_size=32)
    assert small.by_class == dict(cat=1) and small.reasons == {'in small images': 1}
    with pytest.raises(UserError, match=r'filter_cfg\.min_size'):
        usable_annotations(data, [], None, min_size=99).demand_usable('a.json')
    gone = [Problem('image missing', '', f'image {index} is gone', index, True) for index in (0, 1)]
    with pytest.raises(UserError, match=r'2 are in images that are missing.* The first: image 0'):
        usable_annotations(data, gone).demand_usable('a.json')
