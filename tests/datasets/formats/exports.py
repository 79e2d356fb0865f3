"""The scene as each annotation tool writes it, in the form that its documentation describes.

Every function writes an export into a folder, and returns what is to be opened and the objects that
must be found.
"""
import base64
import io
import zlib

import numpy as np
from PIL import Image
from pycocotools import mask as mask_api

from .pixel_exports import (
    cityscapes,
    cvat_masks,
    instance_colors,
    instance_png,
    mask_folders,
    nuclei,
    voc,
)
from .scene import (
    ANGLE,
    ANGLE_MASK,
    FULL_MASK,
    HEIGHT,
    HOLE,
    OUTER,
    PARTS,
    RING_MASK,
    SCENE,
    WIDTH,
    disc,
    expected,
    photos,
    text,
)


def flat(points):
    return [float(v) for point in points for v in point]


def runs(mask):
    """COCO's run lengths, as a list."""
    values = np.concatenate([[0], mask.reshape(-1, order='F'), [2]])
    borders = np.flatnonzero(np.diff(values)) if mask[0, 0] == 0 else np.concatenate(
        [[0], np.flatnonzero(np.diff(values))])
    counts = np.diff(np.concatenate([[0], borders])).tolist()
    return dict(size=[HEIGHT, WIDTH], counts=counts)


def packed(mask):
    encoded = mask_api.encode(np.asfortranarray(mask))
    return dict(size=[HEIGHT, WIDTH], counts=encoded['counts'].decode())


def annotation(number, image, category, segmentation, mask, crowd=0, **more):
    ys, xs = np.nonzero(mask)
    return dict(id=number, image_id=image, category_id=category, segmentation=segmentation,
                bbox=[int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1],
                area=int(mask.sum()), iscrowd=crowd) | more


def coco_data(crowd=0, pattern='{}.jpg', categories=((1, 'cat'), (2, 'dog'))):
    """COCO: polygons, several of them, and run lengths for the hole."""
    numbers = {name: number for number, name in categories}
    return dict(
        info={}, licenses=[],
        images=[dict(id=i, file_name=pattern.format(stem), width=WIDTH, height=HEIGHT)
                for i, stem in enumerate('abc', 1)],
        categories=[dict(id=i, name=name, supercategory='') for i, name in categories],
        annotations=[
            annotation(1, 1, numbers['cat'], [flat(ANGLE)], ANGLE_MASK, crowd),
            annotation(2, 1, numbers['dog'], [flat(part) for part in PARTS], SCENE['a'][1][1],
                       crowd),
            annotation(3, 1, numbers['cat'], runs(RING_MASK), RING_MASK, crowd),
            annotation(4, 2, numbers['dog'], packed(ANGLE_MASK), ANGLE_MASK, crowd)])


def roboflow(root):
    """Images and annotations of a part in one folder; category 0 that no object has."""
    data = coco_data(pattern='{}_jpg.rf.0123456789abcdef.jpg')
    data['categories'] = [dict(id=0, name='pets', supercategory='none')] + [
        category | dict(supercategory='pets') for category in data['categories']]
    for part in ('train', 'valid'):
        photos(root / part, '{}_jpg.rf.0123456789abcdef.jpg')
        text(root / part / '_annotations.coco.json', data)
    return root, {f'{stem}_jpg.rf.0123456789abcdef': objects
                  for stem, objects in expected().items()}


def mmdet(root):
    for part in ('train', 'val'):
        photos(root / f'{part}2017')
        text(root / 'annotations' / f'instances_{part}2017.json', coco_data())
    text(root / 'annotations' / 'captions_train2017.json', dict(images=[], categories=[]))
    return root, expected()


def cvat_coco(root):
    """Every object a crowd, as CVAT marks its masks."""
    photos(root / 'images' / 'default')
    text(root / 'annotations' / 'instances_default.json', coco_data(crowd=1))
    return root, expected()


def label_studio(root):
    """Names of uploads, with the separators of both systems."""
    photos(root / 'images', '0a1b2c3d-{}.jpg')
    text(root / 'result.json', coco_data(pattern='images\\/0a1b2c3d-{}.jpg'))
    return root, {f'0a1b2c3d-{stem}': objects for stem, objects in expected().items()}


def cvat_xml(root):
    """CVAT for images 1.1; rows of run lengths for the hole, two shapes of a group."""
    def points(polygon):
        return ';'.join(f'{x:.2f},{y:.2f}' for x, y in polygon)

    def mask(pixels):
        ys, xs = np.nonzero(pixels)
        left, top, width, height = xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1
        row = pixels[top:top + height, left:left + width].reshape(-1)
        counts = np.diff(np.flatnonzero(np.diff(np.concatenate([[2], row, [2]])))).tolist()
        counts = counts if row[0] == 0 else [0, *counts]
        return (f'rle="{", ".join(map(str, counts))}" left="{left}" top="{top}" '
                f'width="{width}" height="{height}"')
    photos(root / 'images')
    common = 'source="manual" occluded="0" z_order="0"'
    text(root / 'annotations.xml', f'''<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>7</id><name>pets &amp; more</name><size>3</size><mode>annotation</mode>
    <labels>
      <label><name>cat</name><color>#ff0000</color><type>any</type>
        <attributes><attribute><name>tail</name></attribute></attributes></label>
      <label><name>dog</name><color>#00ff00</color><type>any</type><attributes/></label>
    </labels></task><dumped>2024-01-01 00:00:00+00:00</dumped></meta>
  <image id="0" name="a.jpg" width="{WIDTH}" height="{HEIGHT}">
    <polygon label="cat" {common} points="{points(ANGLE)}">
      <attribute name="tail">long</attribute></polygon>
    <polygon label="dog" {common} group_id="3" points="{points(PARTS[0])}"></polygon>
    <polygon label="dog" {common} group_id="3" points="{points(PARTS[1])}"></polygon>
    <mask label="cat" {common} {mask(RING_MASK)}></mask>
    <points label="dog" {common} points="3.0,4.0"></points>
  </image>
  <image id="1" name="b.jpg" width="{WIDTH}" height="{HEIGHT}">
    <mask label="dog" {common} {mask(ANGLE_MASK)}></mask>
  </image>
  <image id="2" name="c.jpg" width="{WIDTH}" height="{HEIGHT}">
    <ellipse label="cat" {common} cx="20.5" cy="14.0" rx="9.0" ry="6.5" rotation="30.0"></ellipse>
  </image>
</annotations>''')
    ring = ('cat', disc(20.5, 14.0, 9.0, 6.5, np.deg2rad(30)))
    return root, expected(SCENE | {'c': [ring]})


def png(mask):
    file = io.BytesIO()
    Image.fromarray(mask).save(file, format='PNG')
    return file.getvalue()


def shape(label, points, kind='polygon', group=None, mask=None):
    return dict(label=label, points=[list(map(float, p)) for p in points], group_id=group,
                description='', shape_type=kind, flags={}, mask=mask)


def labelme_file(stem, shapes, **more):
    return dict(version='5.5.0', flags={}, shapes=shapes, imagePath=f'{stem}.jpg', imageData=None,
                imageHeight=HEIGHT, imageWidth=WIDTH) | more


def labelme(root):
    """A mask for the hole, one group_id for the parts, a circle, a rectangle."""
    photos(root)
    crop = RING_MASK[14:28, 18:36]
    mask = base64.b64encode(png(crop.astype(bool))).decode()
    text(root / 'a.json', labelme_file('a', [
        shape('cat', ANGLE), shape('dog', PARTS[0], group=1), shape('dog', PARTS[1], group=1),
        shape('cat', [(18, 14), (35, 27)], 'mask', mask=mask),
        shape('line', [(1, 1), (5, 5)], 'line')]))
    text(root / 'b.json', labelme_file('b', [shape('dog', ANGLE)], imagePath='..\\old\\b.jpg'))
    text(root / 'c.json', labelme_file('c', [
        shape('cat', [(20, 15), (26, 15)], 'circle'),
        shape('dog', [(36, 12), (30, 5)], 'rectangle')]))
    box = np.zeros((HEIGHT, WIDTH), np.uint8)
    box[5:12, 30:36] = 1
    return root, expected(SCENE | {'c': [('cat', disc(20, 15, 6, 6)), ('dog', box)]})


def labelme_background(root):
    """A hole as LabelMe's wheel has it: a shape of the background over the object."""
    photos(root)
    text(root / 'a.json', labelme_file('a', [
        shape('cat', OUTER), shape('_background_', HOLE), shape('dog', ANGLE),
        shape('__ignore__', ANGLE)]))
    return root, {'a': expected({'a': [('cat', RING_MASK), ('dog', ANGLE_MASK)]})['a']}


def via_regions(*regions):
    return [dict(shape_attributes=shape_, region_attributes=dict(species=name))
            for shape_, name in regions]


def via_polygon(points):
    return dict(name='polygon', all_points_x=[p[0] for p in points],
                all_points_y=[p[1] for p in points])


def _via_images():
    return {
        'a.jpg12345': dict(filename='a.jpg', size=12345, file_attributes={}, regions=via_regions(
            (via_polygon(ANGLE), 'cat'), (dict(name='circle', cx=20, cy=15, r=6), 'dog'),
            (dict(name='polyline', all_points_x=[1, 2], all_points_y=[1, 2]), 'dog'))),
        'b.jpg999': dict(filename='b.jpg', size=999, file_attributes={}, regions=via_regions(
            (dict(name='ellipse', cx=20, cy=14, rx=9, ry=6.5, theta=0.5), 'cat'),
            (dict(name='rect', x=30, y=5, width=6, height=7), 'dog'))),
        'c.jpg1': dict(filename='c.jpg', size=1, file_attributes={}, regions=[])}


def _via_expected():
    box = np.zeros((HEIGHT, WIDTH), np.uint8)
    box[5:12, 30:36] = 1
    return expected({'a': [('cat', ANGLE_MASK), ('dog', disc(20, 15, 6, 6))],
                     'b': [('cat', disc(20, 14, 9, 6.5, 0.5)), ('dog', box)], 'c': []})


def via2_project(root):
    photos(root)
    text(root / 'via_project.json', dict(
        _via_settings=dict(ui={}, core=dict(default_filepath=''), project=dict(name='pets')),
        _via_img_metadata=_via_images(), _via_attributes=dict(
            region=dict(species=dict(type='dropdown', options=dict(cat='', dog=''))), file={}),
        _via_data_format_version='2.0.10', _via_image_id_list=list(_via_images())))
    return root, _via_expected()


def via2_export(root):
    photos(root)
    text(root / 'via_region_data.json', _via_images())
    return root, _via_expected()


def via1_export(root):
    """As the balloons have it: regions by number, a file in each part, a single class."""
    for part in ('train', 'val'):
        photos(root / part)
        text(root / part / 'via_region_data.json', {
            f'{stem}.jpg1': dict(fileref='', size=1, filename=f'{stem}.jpg', base64_img_data='',
                                 file_attributes={}, regions={
                                     '0': dict(shape_attributes=via_polygon(ANGLE),
                                               region_attributes={})}) for stem in 'ab'})
    return root, expected({stem: [('object', ANGLE_MASK)] for stem in 'ab'})


def via3_project(root):
    photos(root)
    files = {str(i): dict(fid=i, fname=f'{stem}.jpg', type=2, loc=1, src='')
             for i, stem in enumerate('abc', 1)}

    def region(vid, xy, option):
        return dict(vid=str(vid), flg=0, z=[], xy=xy, av={'1': option})
    text(root / 'via3.json', dict(
        project=dict(pid='x', rev='1', pname='pets', data_format_version='3.1.1',
                     vid_list=['1', '2', '3']),
        config=dict(file=dict(loc_prefix={'1': '', '2': '', '3': '', '4': ''})),
        attribute={'1': dict(aname='species', anchor_id='FILE1_Z0_XY1', type=4, desc='',
                             options={'0': 'cat', '1': 'dog'}, default_option_id='')},
        file=files, view={key: dict(fid_list=[int(key)]) for key in files},
        metadata={
            '1_aa': region(1, [7, *flat(ANGLE)], '0'), '1_bb': region(1, [3, 20, 15, 6], '1'),
            '1_cc': region(1, [1, 5, 5], '1'),
            '2_dd': region(2, [2, 30, 5, 6, 7], '1'), '2_ee': region(2, [4, 20, 14, 9, 6.5], '0'),
            '3_ff': dict(vid='3', flg=0, z=[], xy=[], av={'1': '0'})}))
    box = np.zeros((HEIGHT, WIDTH), np.uint8)
    box[5:12, 30:36] = 1
    return root, expected({'a': [('cat', ANGLE_MASK), ('dog', disc(20, 15, 6, 6))],
                           'b': [('dog', box), ('cat', disc(20, 14, 9, 6.5))], 'c': []})


def bitmap(mask):
    """base64 of a zipped PNG with transparency, as Supervisely packs its bitmaps."""
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[mask > 0] = 255
    return base64.b64encode(zlib.compress(png(rgba))).decode()


def figure(title, kind, **more):
    return dict(id=1, classId=1, classTitle=title, geometryType=kind, labelerLogin='me', tags=[],
                description='', createdAt='2024-01-01T00:00:00.000Z') | more


def exterior(points, *holes):
    return dict(points=dict(exterior=[list(p) for p in points],
                            interior=[[list(p) for p in hole] for hole in holes]))


def supervisely(root):
    """A bitmap in two parts, a polygon with a hole, and a line."""
    text(root / 'meta.json', dict(classes=[
        dict(title=title, shape='any', color='#FF0000') for title in ('dog', 'cat')], tags=[]))
    scenes = {'a': [
        figure('cat', 'polygon', **exterior(ANGLE)),
        figure('dog', 'bitmap', bitmap=dict(data=bitmap(SCENE['a'][1][1][3:12, 20:37]),
                                            origin=[20, 3])),
        figure('cat', 'polygon', **exterior(OUTER, HOLE)),
        figure('cat', 'line', **exterior(ANGLE))],
        'b': [figure('dog', 'bitmap', bitmap=dict(data=bitmap(ANGLE_MASK), origin=[0, 0]))],
        'c': []}
    for part in ('train', 'val'):
        photos(root / part / 'img')
        for stem, objects in scenes.items():
            text(root / part / 'ann' / f'{stem}.jpg.json', dict(
                description='', tags=[], size=dict(height=HEIGHT, width=WIDTH), objects=objects))
    return root, expected()


def yolo(root):
    """Ultralytics' layout; no hole can be said."""
    def line(label, points):
        return ' '.join([str(label), *(f'{v:.6f}' for x, y in points
                                       for v in (x / WIDTH, y / HEIGHT))])
    photos(root / 'images' / 'train')
    for stem, lines in {'a': [line(0, ANGLE), line(0, OUTER)], 'b': [line(1, ANGLE)]}.items():
        text(root / 'labels' / 'train' / f'{stem}.txt', '\n'.join(lines))
    text(root / 'data.yaml', 'path: .\ntrain: images/train\nval: images/train\n'
                             'names:\n  0: cat\n  1: dog\n')
    return root, expected({'a': [('cat', ANGLE_MASK), ('cat', FULL_MASK)],
                           'b': [('dog', ANGLE_MASK)], 'c': []})


#: Exports whose masks are compared bit by bit.
EXPORTS = (roboflow, mmdet, cvat_coco, label_studio, cvat_xml, labelme, labelme_background,
           via2_project, via2_export, via1_export, via3_project, voc, cvat_masks, cityscapes,
           supervisely, instance_png, instance_colors, nuclei, mask_folders, yolo)
