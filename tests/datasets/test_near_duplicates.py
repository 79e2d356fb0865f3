"""The same picture is found however it was stored; other pictures are not."""
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from mmdet_lordre.datasets.file_names import path_inside
from mmdet_lordre.datasets.fingerprints import Fingerprints, fingerprint, fingerprint_images
from mmdet_lordre.datasets.near_duplicates import (
    TURNS,
    descriptors,
    linked_groups,
    near_duplicates,
)
from mmdet_lordre.datasets.pictures_twice import pictures_twice

from .pictures import texture


def resized(image, factor):
    return image.resize((int(image.width * factor), int(image.height * factor)),
                        Image.Resampling.BICUBIC)


#: Ways to store a picture once more: (name, change, ending, options, turn).
AGAIN = [
    ('jpeg', lambda i: i, 'jpg', dict(quality=30), 'as it is'),
    ('webp', lambda i: i, 'webp', dict(quality=60), 'as it is'),
    ('half', lambda i: resized(i, 0.5), 'png', {}, 'as it is'),
    ('double', lambda i: resized(i, 2), 'jpg', dict(quality=90), 'as it is'),
    ('stretched', lambda i: i.resize((128, 128), Image.Resampling.BILINEAR), 'png', {},
     'as it is'),
    ('brighter', lambda i: ImageEnhance.Brightness(i).enhance(0.7), 'png', {}, 'as it is'),
    ('less contrast', lambda i: ImageEnhance.Contrast(i).enhance(0.6), 'png', {}, 'as it is'),
    ('gray', lambda i: i.convert('L'), 'png', {}, 'as it is'),
    ('palette', lambda i: i.convert('P', palette=Image.Palette.ADAPTIVE), 'png', {}, 'as it is'),
    ('transparent', lambda i: i.convert('RGBA'), 'png', {}, 'as it is'),
    ('16 bits', lambda i: Image.fromarray(np.asarray(i.convert('L')).astype(np.uint16) * 7 + 900),
     'png', {}, 'as it is'),
    ('mirrored', ImageOps.mirror, 'jpg', dict(quality=80), 'mirrored'),
    ('upside down', lambda i: i.rotate(180), 'png', {}, 'upside down'),
    ('flipped', ImageOps.flip, 'png', {}, 'upside down and mirrored'),
    ('left', lambda i: i.transpose(Image.Transpose.ROTATE_90), 'png', {}, 'turned by a quarter'),
    ('right', lambda i: i.transpose(Image.Transpose.ROTATE_270), 'png', {}, 'turned by a quarter'),
    ('transposed', lambda i: i.transpose(Image.Transpose.TRANSPOSE), 'png', {},
     'mirrored and turned'),
]


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """(pairs, name of each file): 40 pictures, and the first ones once more in each way."""
    folder = tmp_path_factory.mktemp('pictures')
    for seed in range(40):
        texture(seed).save(folder / f'{seed}.png')
    for seed, (name, change, ending, options, _) in enumerate(AGAIN):
        change(texture(seed)).save(folder / f'{seed} {name}.{ending}', **options)
    names = sorted(os.listdir(folder))
    pairs = near_duplicates(fingerprint_images([str(folder / name) for name in names], workers=2))
    return pairs, names


@pytest.mark.parametrize('seed', range(len(AGAIN)), ids=[way[0] for way in AGAIN])
def test_stored_again(found, seed):
    pairs, names = found
    name, _, ending, _, turn = AGAIN[seed]
    wanted = sorted([f'{seed}.png', f'{seed} {name}.{ending}'])
    at = [i for i, pair in enumerate(pairs.images.tolist())
          if sorted(names[k] for k in pair) == wanted]
    assert len(at) == 1 and TURNS[pairs.turns[at[0]]] == turn
    assert pairs.differences[at[0]] <= 0.2 and not pairs.same_file[at[0]]
    assert pairs.how(at[0]) == 'the same picture' + (f', {turn}' if turn != 'as it is' else '')


def test_nothing_else_is_alike(found):
    assert len(found[0]) == len(AGAIN)


def files(folder, images):
    paths = []
    for index, image in enumerate(images):
        paths.append(str(folder / f'{index}.png'))
        image.save(paths[-1])
    return paths


def pairs_of(paths):
    return near_duplicates(fingerprint_images(paths)).images.tolist()


def test_equal_files(tmp_path):
    """Also of uniform images, which cells cannot compare."""
    black = Image.new('RGB', (50, 40))
    paths = files(tmp_path, [black, texture(0), black, texture(0), Image.new('RGB', (50, 41)),
                             Image.new('RGB', (50, 40), (1, 1, 2)), black])
    pairs = near_duplicates(fingerprint_images(paths))
    assert pairs.images.tolist() == [[0, 2], [0, 6], [1, 3]] and pairs.same_file.all()
    assert pairs.how(0) == 'the same file'


def test_uniform_images_with_noise(tmp_path):
    noise = [np.random.default_rng(seed).integers(100, 110, (90, 80, 3), np.uint8)
             for seed in range(30)]
    assert pairs_of(files(tmp_path, map(Image.fromarray, noise))) == []


def spots(seed, background):
    """A picture of small spots, as under a microscope."""
    rng = np.random.default_rng(seed)
    picture = background.copy()
    for _ in range(25):
        y, x = rng.integers(4, 124, 2)
        picture[y - 4:y + 4, x - 4:x + 4] += 60
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def test_one_background_makes_no_duplicates(tmp_path):
    """A vignette has most of the contrast, and all pictures share it."""
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    vignette = 180 - 80 * (x * x + y * y)
    assert pairs_of(files(tmp_path, [spots(seed, vignette) for seed in range(25)])) == []


def test_one_microscope_makes_no_duplicates(tmp_path):
    dark = np.full((128, 128), 20.0)
    pictures = [spots(seed, dark) for seed in range(25)]
    again = [resized(pictures[3], 1.7), ImageOps.mirror(pictures[8])]
    assert pairs_of(files(tmp_path, pictures + again)) == [[3, 25], [8, 26]]


def test_something_moved(tmp_path):
    """Frames of a camera that stands still are no duplicates if an object is elsewhere."""
    frames = []
    for k in range(6):
        frame = texture(1, (320, 240))
        frame.paste((255, 255, 255), (20 + 45 * k, 100, 55 + 45 * k, 140))
        frames.append(frame)
    assert pairs_of(files(tmp_path, frames)) == []


@pytest.mark.linux
def test_what_cannot_be_read_is_like_nothing(tmp_path):
    (tmp_path / 'text.png').write_text('text')
    (tmp_path / 'empty.png').write_bytes(b'')
    paths = [str(tmp_path / name) for name in ('text.png', 'empty.png', 'none.png', 'none.png')]
    os.mkfifo(tmp_path / 'pipe.png')
    prints = fingerprint_images([*paths, str(tmp_path / 'pipe.png'), str(tmp_path)])
    assert len(prints) == 6 and not prints.usable.any() and len(near_duplicates(prints)) == 0


@pytest.mark.parametrize('name', ['\ud800.png', 'a\0.png', '../a.png', '/a.png'])
def test_names_that_no_file_there_has(name, tmp_path):
    data = dict(images=[dict(id=1, file_name=name)])
    assert path_inside(str(tmp_path), name) is None
    assert pictures_twice({'train': (data, str(tmp_path))}) == {'train': []}


def test_turned_by_its_tag(tmp_path):
    """A tag counts as turning does."""
    image = texture(5)
    image.save(tmp_path / 'plain.png')
    tag = Image.Exif()
    tag[0x0112] = 6  # to be shown turned to the right
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / 'tag.jpg', exif=tag, quality=90)
    pairs = near_duplicates(fingerprint_images(
        [str(tmp_path / name) for name in ('plain.png', 'tag.jpg')]))
    assert pairs.images.tolist() == [[0, 1]] and pairs.how(0) == 'the same picture'


def test_none_and_one(tmp_path):
    assert pairs_of([]) == [] and pairs_of(files(tmp_path, [texture(0)])) == []


def test_descriptors_are_nearer_than_pictures():
    """So that what is alike can be left out by them, but never is."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50, 32, 32)).astype(np.float32)
    b = a + 0.3 * b
    turned = b[:, ::-1].transpose(0, 2, 1)
    near = np.linalg.norm(descriptors(a) - descriptors(turned), axis=1)
    assert (near <= np.linalg.norm((a - b).reshape(50, -1), axis=1)).all()
    np.testing.assert_allclose(descriptors(b), descriptors(turned), atol=1e-4)


def prints_of(cells):
    cells = cells - cells.mean((1, 2), keepdims=True)
    cells = (cells / cells.std((1, 2), keepdims=True)).astype(np.float16)
    return Fingerprints(cells, np.ones(len(cells), bool), [b''] * len(cells))


def test_many():
    """Thousands of pictures, of which some are there again: all of these are found, no others."""
    rng = np.random.default_rng(3)
    cells = rng.standard_normal((2000, 16, 16)).repeat(2, 1).repeat(2, 2)
    cells[1000:1200] = cells[:200, ::-1] + 0.1 * rng.standard_normal((200, 32, 32))
    pairs = near_duplicates(prints_of(cells))
    assert pairs.images.tolist() == [[i, 1000 + i] for i in range(200)]


def test_a_still_camera():
    """Thousands that are all alike become one group, by few links each."""
    rng = np.random.default_rng(4)
    cells = rng.standard_normal((32, 32)) + 0.08 * rng.standard_normal((1000, 32, 32))
    pairs = near_duplicates(prints_of(cells))
    assert linked_groups(1000, pairs.images).max() == 0 and len(pairs) < 10 * 1000


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(
    st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=40))))
def test_linked_groups(case):
    count, links = case
    groups = linked_groups(count, links)
    # by hand: spread the lowest number until nothing changes
    lowest = list(range(count))
    for _ in range(count):
        for a, b in links:
            lowest[a] = lowest[b] = min(lowest[a], lowest[b])
    assert groups.tolist() == [sorted(set(lowest)).index(k) for k in lowest]


def test_fingerprints_in_one():
    a = prints_of(np.random.default_rng(0).standard_normal((3, 32, 32)))
    joined = Fingerprints.join([a, a])
    assert len(joined) == 6 and near_duplicates(joined).images.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_workers_change_nothing(tmp_path):
    paths = files(tmp_path, [texture(seed) for seed in range(5)])
    one, many = (fingerprint_images(paths, workers) for workers in (1, 4))
    assert one.digests == many.digests and (one.cells == many.cells).all()
    assert one.digests[0] == fingerprint(paths[0])[0]
