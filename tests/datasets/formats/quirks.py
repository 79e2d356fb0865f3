"""A table of quirks: exports as people have them, and what becomes of each.

A quirk is a change of the files of an export. ``OK`` means that training takes it, anything else is
what the line says with which it stops.
"""
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from . import exports
from .changes import (
    OK,
    cut,
    drop,
    each_text,
    edit,
    gray,
    litter,
    missing,
    nothing,
    replace,
    spread,
    upper,
)
from .coco_quirks import COCO
from .scene import HEIGHT, WIDTH, labels, text

EVERY = {
    'as it is': nothing, 'litter of a Mac': litter, 'gray images': gray,
    'Windows lines': each_text(lambda data: data.replace(b'\n', b'\r\n')),
    'byte-order mark': each_text(lambda data: b'\xef\xbb\xbf' + data),
    'capital endings': upper, 'read-only': lambda root: [
        os.chmod(path, 0o500) for path in root.rglob('*') if path.is_dir()] and None}

YOLO = {
    'names as a list': (replace('data.yaml', r'names:\n.*\n.*\n',
                                'names: [cat, dog]\nnc: 2\n'), OK),
    'names as text': (replace('data.yaml', r'  0: cat\n  1: dog', "  '0': cat\n  '1': dog"), OK),
    'count alone': (replace('data.yaml', r'names:\n.*\n.*\n', 'nc: 2\n'), OK),
    'wrong count': (replace('data.yaml', 'names:', 'nc: 3\nnames:'), 'nc is 3'),
    'gap in names': (replace('data.yaml', '1: dog', '3: dog'), 'numbered 0, 1, 2'),
    'same names': (replace('data.yaml', 'dog', 'cat'), "called 'cat'"),
    'no val': (replace('data.yaml', 'val: .*\n', ''), OK),
    'val not there': (replace('data.yaml', 'val: .*\n', 'val: ../valid/images\n'), OK),
    'train not there': (replace('data.yaml', 'train: .*\n', 'train: ../nowhere/photos\n'),
                        'nothing outside of it is read'),
    'folder above': (replace('data.yaml', 'train: ', 'train: ../'), OK),
    'whole path': (replace('data.yaml', r'path: \.', 'path: /home/me/set'), OK),
    'path of Windows': (replace('data.yaml', r'path: \.', r'path: C:\\\\me\\\\set'), OK),
    'path of Ultralytics': (replace('data.yaml', r'path: \.', 'path: ../datasets/set'), OK),
    'pose': (replace('data.yaml', 'path', 'kpt_shape: [5, 3]\npath'), 'poses'),
    'tabs and spaces': (replace('labels/train/*.txt', ' ', ' \t '), OK),
    'empty lines': (replace('labels/train/*.txt', r'\Z', '\n\n  \n'), OK),
    'fractions of classes': (replace('labels/train/*.txt', r'(?m)^(\d) ', r'\1.0 '), OK),
    'class out of range': (replace('labels/train/b.txt', '^1', '5'), 'class 5, but there are 2'),
    'boxes': (replace('labels/train/*.txt', '(?m) .*$', ' 0.5 0.5 0.2 0.2'),
              'these are data for detectors'),
    'a box among polygons': (replace('labels/train/b.txt', '(?m) .*$', ' 0.5 0.5 0.2 0.2'),
                             '--skip-bad'),
    'pixels': (replace('labels/train/*.txt', r' 0\.', ' 7.'), 'parts of the image'),
    'a little beyond': (replace('labels/train/b.txt', r'^1 0\.\d+', '1 1.001'), OK),
    'far beyond': (replace('labels/train/b.txt', r'^1 0\.\d+', '1 1.5'), 'parts of the image'),
    'odd numbers': (replace('labels/train/b.txt', r' [\d.]+$', ''), 'neither a box'),
    'words': (replace('labels/train/b.txt', '^1', 'cat'), 'not a class and numbers'),
    'no label file': (lambda root: (root / 'labels/train/b.txt').unlink(), OK),
    'labels beside images': (lambda root: [
        path.rename(root / 'images/train' / path.name)
        for path in (root / 'labels/train').iterdir()] and None, OK),
    'image cut off': (cut, 'ends early|cannot be decoded'),
    'no yaml': (lambda root: (root / 'data.yaml').unlink(), 'no names of classes'),
    'two yamls': (lambda root: [
        shutil.copy(root / 'data.yaml', root / name) for name in ('a.yaml', 'b.yaml')]
        and (root / 'data.yaml').unlink(), 'several descriptions'),
}

def _embedded(root):
    missing(root)
    edit('a.json', lambda d: d.update(imageData='AAAA'))(root)


LABELME = {
    'no sizes': (edit('*.json', drop('imageHeight', 'imageWidth')), OK),
    'sizes of nothing': (edit('*.json', lambda d: d.update(imageHeight=None, imageWidth=None)), OK),
    'no kinds': (edit('b.json', lambda d: d['shapes'][0].pop('shape_type') and d), OK),
    'labels as numbers': (edit('*.json', lambda d: [s.update(label=7) for s in d['shapes']] and d),
                          OK),
    'whole paths': (edit('*.json', lambda d: d.update(imagePath=f'/home/me/{d["imagePath"]}')), OK),
    'renamed': (edit('*.json', lambda d: d.update(imagePath='old name.png')), OK),
    'folders of their own': (lambda root: [
        (root / sub).mkdir(exist_ok=True) or path.rename(root / sub / path.name)
        for sub, ending in (('json', '.json'), ('photos', '.jpg'))
        for path in sorted(root.glob(f'*{ending}'))] and None, OK),
    'image in the file alone': (_embedded, 'image missing on disk'),
    'rectangles only': (edit('*.json', lambda d: d.update(shapes=[
        exports.shape('cat', [(1, 1), (9, 9)], 'rectangle')])), 'detectors'),
    'two points': (edit('b.json', lambda d: d['shapes'].append(
        exports.shape('cat', [(1, 1), (9, 9)]))), OK),
    'points of text': (edit('b.json', lambda d: d['shapes'][0].update(points=['1', '2'])),
                       r'no list of \[x, y\]'),
    'no label': (edit('b.json', lambda d: d['shapes'][0].pop('label') and d), 'has no label'),
    'damaged mask': (edit('a.json', lambda d: d['shapes'][3].update(mask='!!')), 'cannot be read'),
    'no shapes': (edit('*.json', lambda d: d.update(shapes=[])), 'no class to learn'),
    'another JSON': (lambda root: text(root / 'notes.json', {'a': 1}) and None, OK),
    'cut off': (lambda root: (root / 'b.json').write_text('{"shapes": [') and None, 'is not JSON'),
}

CVAT = {
    'boxes only': (replace('*.xml', r'(?s)<(polygon|mask|ellipse).*?</\1>',
                           '<box label="cat" xtl="1" ytl="1" xbr="9" ybr="9"></box>'), 'detectors'),
    'a box': (replace('*.xml', '<points[^>]*>',
                      '<box label="cat" xtl="1" ytl="1" xbr="9" ybr="9"/><points label="cat">'),
              '--skip-bad'),
    'tracks': (replace('*.xml', '</annotations>', '<track id="0"></track></annotations>'),
               'CVAT for images 1.1'),
    'subsets': (replace('*.xml', '<image id="1"', '<image id="1" subset="Validation"'), OK),
    'folders in names': (replace('*.xml', 'name="(.).jpg"', r'name="day 1/\1.jpg"'), OK),
    'a label that is not declared': (replace('*.xml', '<polygon label="cat"',
                                             '<polygon label="cow"'), OK),
    'cuboids': (replace('*.xml', '<points', '<cuboid label="cat"/><points'), OK),
    'entities': (replace('*.xml', '<annotations>',
                         '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<annotations>'),
                 'document type or entities'),
    'damaged mask': (replace('*.xml', 'rle="', 'rle="9999999, '), 'do not fill its box'),
    'damaged points': (replace('*.xml', 'points="3.00,', 'points="x,'), 'not x,y;x,y'),
    'no size': (replace('*.xml', 'width="40"', ''), 'no size of an image'),
    'cut off': (lambda root: [p.write_text(p.read_text()[:900]) for p in root.glob('*.xml')]
                and None, 'is not XML'),
    'image missing': (missing, 'image missing on disk'),
}


def _regions(change):
    def apply(data):
        for entry in data['_via_img_metadata'].values():
            for region in entry['regions']:
                change(region)
    return apply


VIA = {
    'no attributes': (edit('*.json', _regions(spread(region_attributes={}))), OK),
    'two attributes': (edit('*.json', _regions(lambda r: r['region_attributes'].update(
        color='red'))), 'call it "class"'),
    'two attributes, one is the class': (edit('*.json', _regions(lambda r: r.update(
        region_attributes={'Class': r['region_attributes']['species'], 'color': 'red'}))), OK),
    'check boxes': (edit('*.json', _regions(lambda r: r['region_attributes'].update(
        species={r['region_attributes']['species']: True}))), OK),
    'some without a class': (edit('*.json', lambda d: d['_via_img_metadata']['a.jpg12345'][
        'regions'][0].update(region_attributes={})), OK),
    'paths in names': (edit('*.json', lambda d: [e.update(filename=f'C:\\me\\{e["filename"]}') for e
                                                 in d['_via_img_metadata'].values()] and d), OK),
    'image missing': (missing, OK),
    'no image': (lambda root: [p.unlink() for p in root.glob('*.jpg')] and None, '--train-images'),
    'rectangles only': (edit('*.json', _regions(spread(
        shape_attributes=dict(name='rect', x=1, y=1, width=5, height=5)))), 'detectors'),
    'a polygon of unequal lists': (edit('*.json', lambda d: d['_via_img_metadata']['a.jpg12345'][
        'regions'][0]['shape_attributes'].update(all_points_x=[1])), 'a polygon of a.jpg is'),
    'regions by number': (edit('*.json', lambda d: [e.update(regions={
        str(i): r for i, r in enumerate(e['regions'])}) for e in d['_via_img_metadata'].values()]
        and d), OK),
}


def _each(pattern, change):
    return lambda root: [change(path) for path in sorted(root.rglob(pattern))] and None


VOC = {
    'no lists': (lambda root: shutil.rmtree(root / 'VOCdevkit/VOC2012/ImageSets'), OK),
    'semantic masks': (lambda root: shutil.rmtree(root / 'VOCdevkit/VOC2012/SegmentationObject'),
                       'semantic masks'),
    'boxes': (lambda root: [shutil.rmtree(root / 'VOCdevkit/VOC2012' / name) for name in (
        'SegmentationObject', 'SegmentationClass')] and (
            root / 'VOCdevkit/VOC2012/Annotations').mkdir(), 'data for detectors'),
    'no classes': (_each('SegmentationClass/a.png', Path.unlink), 'has no SegmentationClass/a.png'),
    'other sizes': (_each('SegmentationClass/a.png', lambda p: labels(
        p, np.zeros((9, 9), np.uint8))), 'different sizes'),
    'trainval': (_each('ImageSets/*/*', lambda p: p.stem != 'trainval' and p.unlink()), OK),
    'endings in lists': (_each('train.txt', lambda p: p.write_text('JPEGImages/a.jpg\n')), OK),
    'a listed image without a mask': (_each('train.txt', lambda p: p.write_text('a\nc\n')), OK),
    'image missing': (missing, 'image missing on disk'),
    'void alone': (_each('SegmentationClass/a.png', lambda p: labels(
        p, np.full((HEIGHT, WIDTH), 255, np.uint8))), 'annotations can be learned'),
}

CITYSCAPES = {
    'polygons': (_each('*instanceIds.png', Path.unlink), '0 annotations can be learned'),
    'no images': (lambda root: shutil.rmtree(root / 'leftImg8bit'), '--train-images'),
    'image missing': (lambda root: [
        path.rename(path.with_name('bonn_0_0_leftImg8bit.png'))
        for path in root.rglob('*_leftImg8bit.png')] and None,
        'are gtFine and leftImg8bit of one data set'),
}

SUPERVISELY = {
    'no meta': (lambda root: (root / 'meta.json').unlink(), OK),
    'old names': (_each('ann/*.json', lambda p: p.rename(p.with_name(
        p.name.replace('.jpg', '')))), OK),
    'old kinds': (edit('ann/*.json', lambda d: [f.pop('geometryType') for f in d['objects']
                                                if f['geometryType'] != 'line'] and None), OK),
    'instances': (edit('ann/a*.json', lambda d: [f.update(instance='aa', classTitle='cat') for f in
                                                 d['objects'][:2]] and None), OK),
    'damaged bitmap': (edit('ann/b*.json', lambda d: d['objects'][0]['bitmap'].update(data='eJw=')),
                       'bitmap cannot be read'),
    'rectangles only': (edit('ann/*.json', lambda d: d.update(objects=[exports.figure(
        'cat', 'rectangle', **exports.exterior([(1, 1), (9, 9)]))])), 'detectors'),
    'no size': (edit('ann/*.json', lambda d: d.pop('size') and None), 'no size of an image'),
    'image missing': (missing, 'image missing on disk'),
}


def _jpeg(root):
    for path in sorted((root / 'masks').iterdir()):
        Image.open(path).convert('L').save(path.with_suffix('.jpg'))
        path.unlink()


def _semantic(root):
    for path in (root / 'masks').iterdir():
        pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
        pixels[2:8, 2:8] = pixels[12:20, 12:20] = pixels[22:28, 30:36] = 255
        labels(path, pixels)


def _swap(one, other):
    return lambda root: (root / one).rename(root / other) and None


def _blended(path):
    labels(path, np.random.default_rng(0).integers(0, 2**16, (HEIGHT, WIDTH)).astype(np.uint16))


INSTANCES = {
    'folder called labels': (_swap('masks', 'labels'), OK),
    'folder called imgs': (_swap('images', 'imgs'), OK),
    'suffix': (_each('masks/*', lambda p: p.rename(p.with_name(f'{p.stem}_cp_masks.png'))), OK),
    'JPEG': (_jpeg, 'a JPEG keeps no exact numbers'),
    'semantic': (_semantic, 'semantic masks'),
    'blended colors': (_each('masks/a.png', _blended), 'blended'),
    'other sizes': (_each('masks/a.png', lambda p: labels(p, np.ones((9, 9), np.uint8))),
                    'store them in one size'),
    'TIFF': (_each('masks/*', lambda p: Image.open(p).save(p.with_suffix('.tif')) or p.unlink()),
             OK),
    'fractions': (_each('masks/*', lambda p: Image.fromarray(
        np.asarray(Image.open(p)).astype(np.float32)).save(p.with_suffix('.tif')) or p.unlink()),
        OK),
    'transparent': (_each('masks/*', lambda p: Image.open(p).convert('LA').save(p)), OK),
    'mask of nothing': (lambda root: labels(root / 'masks/z.png', np.ones((9, 9), np.uint8)) and
                        None, OK),
}
FILES = {
    'other sizes': (_each('stage1_train/a/masks/0.png', lambda p: labels(
        p, np.ones((9, 9), np.uint8))), 'store them in one size'),
    'an empty mask': (_each('stage1_train/a/masks/0.png', lambda p: labels(
        p, np.zeros((HEIGHT, WIDTH), np.uint8))), OK),
    'damaged mask': (_each('stage1_train/a/masks/0.png', lambda p: p.write_bytes(b'x')),
                     'cannot be decoded'),
}

_TABLES = ((exports.mmdet, COCO), (exports.yolo, YOLO), (exports.labelme, LABELME),
           (exports.cvat_xml, CVAT), (exports.via2_project, VIA), (exports.voc, VOC),
           (exports.cityscapes, CITYSCAPES), (exports.supervisely, SUPERVISELY),
           (exports.instance_png, INSTANCES), (exports.nuclei, FILES))
#: (name, export, change, outcome) of every variant.
VARIANTS = [(f'{write.__name__}: {name}', write, change, outcome)
            for write, quirks in _TABLES for name, (change, outcome) in quirks.items()]
VARIANTS += [(f'{write.__name__}: {name}', write, change,
              '--crowd-as-instances' if write is exports.cvat_coco else OK)
             for write in exports.EXPORTS for name, change in EVERY.items()]
