"""Parts of a data set: whole groups, right shares, the same mixture of classes."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_lordre.datasets.splitting import (
    balanced_parts,
    by_folder,
    by_pattern,
    by_version,
    merged,
    objects_by_class,
)
from mmdet_lordre.errors import UserError


def test_groups_of_names():
    names = ['a/1.jpg', 'b/2.jpg', 'a/3.jpg', '4.jpg', 'b\\5.jpg']
    assert by_folder(names).tolist() == [0, 1, 0, 2, 1]
    patients = ['p1_a.png', 'p2_a.png', 'x.png', 'p1_b.png', 'y.png']
    groups, without = by_pattern(patients, r'^(p\d+)_')
    assert groups.tolist() == [0, 1, 2, 0, 3] and without == 2
    groups, _ = by_pattern(['s1-p1-a', 's1-p2-b', 's1-p1-c'], r'(s\d)-(p\d)')
    assert groups.tolist() == [0, 1, 0]
    groups, without = by_pattern(['ab1', 'ab2', 'cd1'], '[a-z]+')
    assert groups.tolist() == [0, 0, 1] and not without
    with pytest.raises(UserError, match='is no regular expression'):
        by_pattern(names, '(')


def test_versions_of_roboflow():
    names = ['cat_jpg.rf.0123456789abcdef.jpg', 'dog_jpg.rf.0123456789abcdef.jpg',
             'cat_jpg.rf.fedcba9876543210.jpg', 'cat_jpg.jpg', 'cat.rf.jpg']
    assert by_version(names).tolist() == [0, 1, 0, 0, 2]


def test_merged():
    assert merged([0, 0, 1, 2, 3], ['a', 'b', 'b', 'c', 'd']).tolist() == [0, 0, 0, 1, 2]


def test_objects_by_class():
    data = dict(images=[dict(id=7), dict(id=3), dict(id=5)],
                categories=[dict(id=10), dict(id=4)],
                annotations=[dict(image_id=7, category_id=4), dict(image_id=7, category_id=4),
                             dict(image_id=5, category_id=10), dict(image_id=9, category_id=10),
                             dict(image_id=3, category_id=10, iscrowd=1)])
    assert objects_by_class(data).tolist() == [[0, 2], [0, 0], [1, 0]]


def alone(objects):
    return np.arange(len(objects))


def test_a_rare_class_is_divided():
    """Ten images of a hundred have it: two of them go to the fifth part."""
    objects = np.zeros((100, 2), int)
    objects[:, 0] = 3
    objects[::10, 1] = 1
    for seed in range(5):
        parts = balanced_parts(objects, alone(objects), [0.8, 0.2], seed)
        assert (parts == 1).sum() == 20 and (objects[parts == 1, 1] > 0).sum() == 2


def test_folds_are_equal():
    objects = np.random.default_rng(0).poisson(0.4, (103, 6))
    parts = balanced_parts(objects, alone(objects), [1] * 5)
    assert sorted(np.bincount(parts)) == [20, 20, 21, 21, 21]
    present = np.stack([(objects[parts == part] > 0).sum(0) for part in range(5)])
    assert (np.ptp(present, axis=0) <= 3).all()


def test_one_image_of_a_class_goes_to_the_large_part():
    objects = np.eye(10, dtype=int)
    parts = balanced_parts(objects, alone(objects), [0.8, 0.2])
    assert (parts == 1).sum() == 2
    objects = np.zeros((10, 1), int)
    objects[3] = 1
    assert all(balanced_parts(objects, alone(objects), [0.7, 0.3], seed)[3] == 0
               for seed in range(10))


def test_a_large_group():
    """It goes where it fits, and the rest fills the shares."""
    groups = np.r_[np.zeros(60, int), 1 + np.arange(40)]
    objects = np.ones((100, 1), int)
    parts = balanced_parts(objects, groups, [0.8, 0.2])
    assert set(parts[:60]) == {0} and (parts == 1).sum() == 20


def test_other_seeds_give_other_parts():
    objects = np.ones((50, 1), int)
    found = {tuple(balanced_parts(objects, alone(objects), [0.5, 0.5], seed)) for seed in range(8)}
    assert len(found) == 8


def test_as_good_as_drawn_by_lot():
    """Closer to the shares of each class than most of what chance gives."""
    rng = np.random.default_rng(1)
    objects = rng.poisson(rng.gamma(0.3, 1, 12), (300, 12))
    wanted = 0.2 * (objects > 0).sum(0)

    def off(parts):
        return np.abs((objects[parts == 1] > 0).sum(0) - wanted).sum()
    ours = off(balanced_parts(objects, alone(objects), [0.8, 0.2]))
    lots = [off(rng.permutation(np.arange(300) < 60).astype(int)) for _ in range(200)]
    assert ours < min(lots)


@st.composite
def sets(draw):
    count = draw(st.integers(1, 40))
    classes = draw(st.integers(0, 4))
    objects = draw(st.lists(st.lists(st.integers(0, 5), min_size=classes, max_size=classes),
                            min_size=count, max_size=count))
    groups = draw(st.lists(st.integers(0, count), min_size=count, max_size=count))
    shares = draw(st.lists(st.sampled_from([0.1, 0.2, 0.5, 1, 3]), min_size=1, max_size=5))
    return np.array(objects, int).reshape(count, classes), np.array(groups), shares


@settings(max_examples=80, deadline=None)
@given(sets(), st.integers(0, 5))
def test_properties(case, seed):
    objects, groups, shares = case
    parts = balanced_parts(objects, groups, shares, seed)
    assert parts.shape == groups.shape and set(parts) <= set(range(len(shares)))
    # a group is in one part
    assert all(len(set(parts[groups == group])) == 1 for group in set(groups))
    # the same again, also where the groups have other names
    assert (parts == balanced_parts(objects, -3 * groups + 7, shares, seed)).all()
    # no part takes more than its share and half of the group that came last, if it could not but
    sizes = np.bincount(parts, minlength=len(shares))
    largest = max(np.bincount(groups))
    assert (sizes <= np.array(shares) / sum(shares) * len(groups) + largest).all()
