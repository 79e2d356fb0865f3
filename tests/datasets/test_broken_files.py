"""Broken annotation files: one line says what is wrong, or the check passes and all is loaded."""
import copy
import math
import re

import pytest
import torch
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdet_lordre.config.checks import check_data, use_files
from mmdet_lordre.config.own_data import use_own_data
from mmdet_lordre.datasets.coco_file import forget_annotations
from mmdet_lordre.errors import UserError

from ..cli.tiny import make_coco, read_json, write_config, write_json

NAN, INF = math.nan, math.inf
HUGE = 10**400
CONTROL = '\x1b[31mred\x07\u202e\n\t\0'
DEEP = []
for _ in range(300):
    DEEP = [DEEP]
#: Values of a wrong type or size, tried at every key.
ODD = dict(
    null=None, true=True, empty='', word='abc', number='7', decimal=5.0, half=0.5, negative=-3,
    zero=0, nan=NAN, infinite=INF, huge=HUGE, e10=10**10, list=[], nested=[[[[1]]]], dict={},
    entry=[{}], control=CONTROL, long='n' * 100_000, surrogate='\ud800',
    other_script='\u56fe\U0001f600', nans=[NAN] * 4, huge_ones=[HUGE] * 8, texts=['1'] * 4,
    deep=DEEP, address='http://[::1/%zz?', parent='../../..', polygon=[[3] * 6])
KEYS = dict(images=('id', 'file_name', 'width', 'height'),
            annotations=('id', 'image_id', 'category_id', 'bbox', 'area', 'iscrowd',
                         'segmentation'),
            categories=('id', 'name'))
FILE = 48 * 64
#: (size, counts) of run lengths.
RUNS = dict(
    e10=([100_000, 100_000], [10**10]), one_of_e10=([48, 64], [10**10]),
    negative=([48, 64], [-5, FILE + 5]), overflow=([48, 64], [2**63, FILE - 2**63]),
    decimals=([48, 64], [float(FILE)]), huge=([48, 64], [HUGE]),
    other_letters=([48, 64], '\u00ff' * 9), endless=([48, 64], 'o' * 99),
    size_of_text=(['48', '64'], [FILE]), size_of_decimals=([48.0, 64.0], [FILE]),
    size_of_nan=([NAN, 64], [FILE]), size_of_lists=([[48], [64]], [FILE]), none=([48, 64], []),
    no_text=([48, 64], ''), many=([48, 64], '1' * 200_000), nested=([48, 64], [[FILE]]),
    true=([48, 64], [True] * FILE), nothing=([48, 64], None), all_empty=([48, 64], [FILE]),
    sum_beyond_writing=([48, 64], [int('9' * 4300)] * 9))


def changed(section, key, value, everywhere):
    def change(data):
        for entry in data[section] if everywhere else data[section][:1]:
            if value is KeyError:
                del entry[key]
            else:
                entry[key] = value
    return change


def replaced(section, value):
    return lambda data: data.update({section: value})


def variants():
    """{group: {name: what to do with the good annotations}}."""
    found = {}
    for section, keys in KEYS.items():
        for key in keys:
            for everywhere in (False, True):
                found[f'{section} {key}{" everywhere" * everywhere}'] = {
                    name: changed(section, key, value, everywhere)
                    for name, value in dict(ODD, missing=KeyError).items()}
        found[section] = {name: replaced(section, ODD[name]) for name in (
            'null', 'word', 'zero', 'list', 'dict', 'nested', 'entry', 'deep')}
    found['run lengths'] = {
        name: changed('annotations', 'segmentation', dict(size=size, counts=counts), False)
        for name, (size, counts) in RUNS.items()}
    return found


VARIANTS = variants()


@pytest.fixture(scope='module')
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp('good')
    make_coco(folder, count=4)
    config = Config.fromfile(write_config(folder / 'tiny.py'))
    # serializing waits for the collection of garbage, every time
    config.train_dataloader.dataset.dataset.serialize_data = False
    config.val_dataloader.dataset.serialize_data = False
    return folder / 'images', config, read_json(folder / 'annotations.json')


def test_enough_of_them():
    assert sum(map(len, VARIANTS.values())) > 700


def one_line(text, path):
    """A message is one line of ordinary characters and names the file."""
    assert path in text and text.isprintable() and len(text) < 1500, text


def instances(dataset):
    """Objects that training sees in a data set."""
    return sum(len(dataset[i]['data_samples'].gt_instances) for i in range(len(dataset)))


def result(image):
    """A detection of the first class in an image."""
    mask = torch.zeros(1, image['height'], image['width'], dtype=torch.bool)
    mask[:, 3:9, 4:12] = True
    return dict(img_id=image['img_id'], ori_shape=(image['height'], image['width']),
                pred_instances=dict(masks=mask, scores=torch.ones(1),
                                    labels=torch.zeros(1, dtype=torch.long)))


def check(cfg, path, images, skip_bad):
    """Look at a file as ``tools/train.py`` does; the number of its objects, None if refused."""
    said = []
    try:
        use_own_data(cfg, path, path, str(images), str(images))
        use_files(cfg, check_data(cfg, ('train', 'val'), skip_bad=skip_bad, warn=said.append,
                                  clean_to=f'{path}.clean'))
    except UserError as error:
        one_line(str(error), path)
        return None
    finally:
        for line in said:
            one_line(line, path)
    return int(re.search(r': (\d+) of \d+ annotations? in ', '\n'.join(said))[1])


@pytest.mark.parametrize('group', VARIANTS)
def test_what_passes_is_loaded_and_evaluated(group, good, tmp_path):
    images, config, data = good
    init_default_scope('mmdet')
    passed = {}
    for name, spoil in VARIANTS[group].items():
        broken = copy.deepcopy(data)
        spoil(broken)
        path = write_json(tmp_path / f'{name}.json', broken)
        for skip_bad in (False, True):
            cfg = copy.deepcopy(config)
            count = passed[name, skip_bad] = check(cfg, path, images, skip_bad)
            if count is None:
                continue
            train, val = (DATASETS.build(cfg[f'{split}_dataloader'].dataset)
                          for split in ('train', 'val'))
            assert instances(train) == count > 0, name
            metric = METRICS.build(cfg.val_evaluator[0])
            metric.dataset_meta = val.metainfo
            for index in range(len(val)):
                metric.process({}, [result(val.get_data_info(index))])
            assert math.isfinite(metric.evaluate(len(val))['coco/segm_mAP']), name
    forget_annotations()
    # what one annotation or image has wrong never stops training with --skip-bad
    if group.startswith('annotations ') and 'everywhere' not in group and 'iscrowd' not in group:
        refused = {name for (name, skip_bad), count in passed.items() if skip_bad and not count}
        assert refused <= {'list', 'dict', 'entry', 'nested', 'nans', 'huge_ones', 'texts', 'deep',
                           'polygon'} and ('id' in group or not refused), refused
