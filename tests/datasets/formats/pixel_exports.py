"""Exports whose objects are the values of pixels: numbers, colors, or a file for each mask."""
import numpy as np

from .scene import (
    ANGLE,
    ANGLE_MASK,
    HEIGHT,
    HOLE,
    OUTER,
    RING_MASK,
    SCENE,
    WIDTH,
    expected,
    labels,
    photo,
    photos,
    text,
)


def voc_palette(count=256):
    """VOC's colors, by the rule of its development kit."""
    palette = []
    for number in range(count):
        color = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                color[channel] |= ((number >> (3 * bit + channel)) & 1) << (7 - bit)
        palette += color
    return palette


def _numbers(scene, values):
    """An image of numbers of some objects; the border of the first is void."""
    numbers = np.zeros((HEIGHT, WIDTH), np.uint8)
    for value, (_, mask) in zip(values, scene):
        numbers[mask > 0] = value
    return numbers


def voc(root, names=('cat', 'dog'), rgb=False, labelmap=None):
    base = root / 'VOCdevkit' / 'VOC2012'
    photos(base / 'JPEGImages')
    order = labelmap or dict(cat=8, dog=12)
    palette = voc_palette()
    for stem in 'ab':
        scene = SCENE[stem]
        objects = _numbers(scene, range(1, 9))
        classes = _numbers(scene, [order[name] for name, _ in scene])
        objects[0], classes[0] = 255, 255  # void
        for folder, numbers in (('SegmentationObject', objects), ('SegmentationClass', classes)):
            path = base / folder / f'{stem}.png'
            if rgb:
                labels(path, np.array(palette, np.uint8).reshape(-1, 3)[numbers])
            else:
                labels(path, numbers, palette)
    text(base / 'ImageSets' / 'Segmentation' / 'train.txt', 'a\n')
    text(base / 'ImageSets' / 'Segmentation' / 'val.txt', 'b\n')
    text(base / 'ImageSets' / 'Segmentation' / 'trainval.txt', 'a\nb\n')
    return root, {stem: expected()[stem] for stem in 'ab'}


def cvat_masks(root):
    """CVAT's "Segmentation mask 1.1": colors in place of numbers, and a list of them."""
    result = voc(root, rgb=True, labelmap=dict(cat=3, dog=1))
    base = root / 'VOCdevkit' / 'VOC2012'
    palette = np.array(voc_palette()).reshape(-1, 3)
    text(base / 'labelmap.txt', '# label:color_rgb:parts:actions\nbackground:0,0,0::\n' + ''.join(
        f'{name}:{",".join(map(str, palette[number]))}::\n'
        for name, number in (('cat', 3), ('dog', 1))))
    return result


def cityscapes(root, polygons=False):
    """Numbers of 1000 * class + object, a group of cars, and things that are not evaluated."""
    base = 'zurich_000000_000019'
    numbers = np.full((HEIGHT, WIDTH), 7, np.int32)
    numbers[20:, 2:14] = 26
    for value, (_, mask) in zip((24000, 26000, 26001), SCENE['a']):
        numbers[mask > 0] = value
    numbers[0:2, 0:2] = 30000
    photo(root / 'leftImg8bit' / 'train' / 'zurich' / f'{base}_leftImg8bit.png')
    folder = root / 'gtFine' / 'train' / 'zurich'
    if not polygons:
        labels(folder / f'{base}_gtFine_instanceIds.png', numbers.astype(np.uint16))
    objects = [dict(label=name, polygon=[list(map(int, p)) for p in points]) for name, points in (
        ('road', [(0, 0), (39, 0), (39, 29), (0, 29)]), ('cargroup', [(2, 20), (13, 20), (13, 29)]),
        ('car', ANGLE), ('sky', HOLE), ('car', OUTER), ('static', HOLE))] if polygons else []
    text(folder / f'{base}_gtFine_polygons.json', dict(imgHeight=HEIGHT, imgWidth=WIDTH,
                                                       objects=objects))
    group = ('car', (numbers == 26).astype(np.uint8))
    return root, expected({f'{base}_leftImg8bit': [
        ('person', ANGLE_MASK), ('car', SCENE['a'][1][1]), ('car', RING_MASK), group]})


def instance_png(root, dtype=np.uint8):
    """An image of numbers for each image; classes are not said."""
    photos(root / 'images', '{}.jpg')
    for stem in 'ab':
        numbers = _numbers(SCENE[stem], (1, 2, 7)).astype(dtype)
        labels(root / 'masks' / f'{stem}.png', numbers * (257 if dtype == np.uint16 else 1))
    return root, expected({stem: [('object', mask) for _, mask in objects]
                           for stem, objects in SCENE.items()})


def instance_colors(root):
    """A color for each object, in folders of classes."""
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 0]], np.uint8)
    photos(root / 'images')
    for stem in 'ab':
        for name in ('cat', 'dog'):
            scene = [pair for pair in SCENE[stem] if pair[0] == name]
            labels(root / 'masks' / name / f'{stem}_mask.png', colors[_numbers(scene, (1, 2, 3))])
    return root, expected()


def nuclei(root):
    """The nuclei of DSB 2018: a folder for each image, a file for each object."""
    objects = {'a': SCENE['a'], 'b': SCENE['b']}
    for stem, scene in objects.items():
        photo(root / 'stage1_train' / stem / 'images' / f'{stem}.png')
        for number, (_, mask) in enumerate(scene):
            labels(root / 'stage1_train' / stem / 'masks' / f'{number}.png', mask * 255)
    photo(root / 'stage1_test' / 'c' / 'images' / 'c.png')
    return root, expected({stem: [('object', mask) for _, mask in scene]
                           for stem, scene in objects.items()})


def mask_folders(root):
    """The same with ``images`` and a folder of masks for each image."""
    for stem in 'ab':
        photo(root / 'images' / f'{stem}.png')
        for number, (_, mask) in enumerate(SCENE[stem]):
            labels(root / 'masks' / stem / f'{number}.png', mask * 255)
    return root, expected({stem: [('object', mask) for _, mask in SCENE[stem]] for stem in 'ab'})
