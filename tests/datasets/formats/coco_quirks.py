"""Quirks of COCO files, and what becomes of each."""
import shutil

import numpy as np

from .changes import OK, as_text, cut, drop, edit, every, missing, spread, zipped
from .scene import HEIGHT, WIDTH


def _ids(change):
    def apply(data):
        for key in ('images', 'annotations', 'categories'):
            for entry in data[key]:
                for name in ('id', 'image_id', 'category_id'):
                    if name in entry:
                        entry[name] = change(entry[name])
    return apply


def _names(change):
    return every('images', lambda image: image.update(file_name=change(image['file_name'])))


def _alike(data):
    data['categories'].append(dict(id=9, name='Cat '))
    data['annotations'][0]['category_id'] = 9


def _other_order(root):
    edit('instances_val2017.json', lambda d: d.update(categories=d['categories'][::-1]) or d)(root)


def _other_ids(root):
    def change(data):
        for entry in data['categories']:
            entry['id'] += 10
        for entry in data['annotations']:
            entry['category_id'] += 10
    edit('instances_val2017.json', change)(root)


def _unknown(root):
    def change(data):
        data['categories'].append(dict(id=9, name='cow'))
        data['annotations'][0]['category_id'] = 9
    edit('instances_val2017.json', change)(root)


def _spelled(root):
    edit('instances_val2017.json', every('categories', lambda c: c.update(
        name=c['name'].title())))(root)


def _boxes(data):
    for entry in data['annotations']:
        entry['segmentation'] = []


def _pairs(data):
    for entry in data['annotations']:
        if isinstance(entry['segmentation'], list):
            entry['segmentation'] = [np.reshape(p, (-1, 2)).tolist() for p in entry['segmentation']]


def _flat(data):
    for entry in data['annotations']:
        if isinstance(entry['segmentation'], list) and len(entry['segmentation']) == 1:
            entry['segmentation'] = entry['segmentation'][0]


def _first(key, **values):
    return lambda data: data[key][0].update(values)


def _results(data):
    return [dict(image_id=1, category_id=1, bbox=[1, 2, 3, 4], score=0.5)]


J = '*_train2017.json'
COCO = {
    'gzip': (zipped, OK),
    'ids as text': (edit('inst*.json', _ids(str)), OK),
    'ids as fractions': (edit('inst*.json', _ids(float)), OK),
    'ids as words': (edit('inst*.json', _ids(lambda v: f'n{v}')), OK),
    'annotations without ids': (edit('inst*.json', every('annotations', drop('id'))), OK),
    'images without ids': (edit(f'inst{J}', every('images', drop('id'))),
                           '4 refer to images that are not listed'),
    'same ids': (edit(f'inst{J}', every('annotations', spread(id=1))), 'another annotation'),
    'sizes as fractions': (edit('inst*.json', every('images', spread(width=float(WIDTH)))), OK),
    'sizes as text': (edit('inst*.json', every('images', as_text('width', 'height'))), OK),
    'no sizes': (edit('inst*.json', every('images', drop('width', 'height'))), OK),
    'wrong sizes': (edit(f'inst{J}', every('images', spread(width=HEIGHT, height=WIDTH))),
                    'says 30x40 .*--skip-bad'),
    'huge sizes': (edit(f'inst{J}', every('images', spread(width=10**9))),
                   'more pixels than can be decoded: correct them'),
    'no boxes and areas': (edit('inst*.json', every('annotations', drop('bbox', 'area'))), OK),
    'no iscrowd': (edit('inst*.json', every('annotations', drop('iscrowd'))), OK),
    'iscrowd as text': (edit('inst*.json', every('annotations', as_text('iscrowd'))), OK),
    'all crowds': (edit('inst*.json', every('annotations', spread(iscrowd=1))),
                   '--crowd-as-instances'),
    'crowds in val': (edit('inst*_val2017.json', every('annotations', spread(iscrowd=1))),
                      '--crowd-as-instances'),
    'boxes only': (edit('inst*.json', _boxes), 'detectors of boxes'),
    'one box': (edit(f'inst{J}', _first('annotations', segmentation=[])), '--skip-bad'),
    'no segmentation': (edit('inst*.json', every('annotations', drop('segmentation'))),
                        'detectors of boxes'),
    'pairs': (edit('inst*.json', _pairs), OK),
    'flat polygons': (edit('inst*.json', _flat), OK),
    'two points': (edit(f'inst{J}', _first('annotations', segmentation=[[1, 1, 9, 9]])),
                   'a polygon of 2 points.*--skip-bad'),
    'odd polygon': (edit(f'inst{J}', _first('annotations', segmentation=[[1, 1, 9, 9, 4, 4, 2]])),
                    'which is odd'),
    'corners for boxes': (edit('inst*.json', every('annotations', lambda a: a.update(
        bbox=[a['bbox'][0], a['bbox'][1], a['bbox'][0] + a['bbox'][2],
              a['bbox'][1] + a['bbox'][3]]))), 'x1 y1 x2 y2'),
    'category 0': (edit('inst*.json', _ids(lambda v: v - 1)), OK),
    'category without objects': (edit('inst*.json', lambda d: d['categories'].insert(
        0, dict(id=0, name='all', supercategory='none'))), OK),
    'names as numbers': (edit('inst*.json', every('categories', lambda c: c.update(name=c['id']))),
                         OK),
    'no names': (edit('inst*.json', every('categories', drop('name'))), 'give it one'),
    'alike names': (edit('inst*.json', _alike), OK),
    'another order in val': (_other_order, OK), 'other ids in val': (_other_ids, OK),
    'a new class in val': (_unknown, "is of category 'cow'"),
    'classes spelled otherwise in val': (_spelled, "it has 'cat': give both the same name"),
    'paths of Windows': (edit('inst*.json', _names(lambda n: f'C:\\me\\photos\\{n}')), OK),
    'whole paths': (edit('inst*.json', _names(lambda n: f'/home/me/photos/{n}')), OK),
    'paths above': (edit('inst*.json', _names(lambda n: f'../photos/{n}')), OK),
    'addresses': (edit('inst*.json', _names(lambda n: f'https://host/data/upload/1/{n}?x=1')), OK),
    'local files': (edit('inst*.json', _names(lambda n: f'/data/local-files/?d=my%20set/{n}')), OK),
    'uploads': (edit('inst*.json', _names(lambda n: f'/data/upload/1/0a1b2c3d-{n}')), OK),
    'number as a name': (edit(f'inst{J}', _first('images', file_name=17)), 'file_name of image 1'),
    'no name': (edit(f'inst{J}', every('images', drop('file_name'))), 'file_name of image'),
    'null annotations': (edit(f'inst{J}', lambda d: d | dict(annotations=None)), '0 annotations'),
    'no annotations': (edit(f'inst{J}', lambda d: d | dict(annotations=[])), '0 annotations'),
    'images as a dictionary': (edit(f'inst{J}', lambda d: d | dict(images={})), 'no list "images"'),
    'unknown image': (edit(f'inst{J}', _first('annotations', image_id=99)), '--skip-bad'),
    'unknown category': (edit(f'inst{J}', _first('annotations', category_id=99)), '--skip-bad'),
    'not a number': (edit(f'inst{J}', _first('annotations', area=float('nan'))), 'nan'),
    'cut off': (lambda root: [path.write_text(path.read_text()[:300])
                              for path in root.rglob('inst*train*.json')] and None, 'is not JSON'),
    'image missing': (missing, 'image missing on disk.*--skip-bad'),
    'image cut off': (cut, 'ends early.*--skip-bad'),
    'several files': (lambda root: shutil.copy(
        root / 'annotations/instances_train2017.json',
        root / 'annotations/instances_train2014.json') and None, 'several annotation files'),
}
