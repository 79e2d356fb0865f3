"""Names of the pictures of ``test --show-dir``."""
from mmdet_lordre.training.pictures import picture_names


def test_names_of_their_own():
    names = picture_names(['/a/b/0.png', '/a/c/0.png', '/a/c/1.png', '/a/c/d/0.png'])
    assert names == {'/a/b/0.png': 'b/0.png', '/a/c/0.png': 'c/0.png', '/a/c/1.png': '1.png',
                     '/a/c/d/0.png': 'c/d/0.png'}
    assert picture_names([]) == {}
    assert picture_names(['/x/0.png', '/x/0.png']) == {'/x/0.png': '0.png'}
