"""The data set on disk, made by the command, read by mmdet through the shared config."""
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from pycocotools.coco import COCO

from mmdet_lordre.datasets.shapes import CLASSES, PALETTE, ExistingDataError, dataset, make_dataset

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'make_shapes.py'


def run(*args):
    return subprocess.run([sys.executable, str(TOOL), *map(str, args)], capture_output=True,
                          text=True, timeout=300)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file()}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp('shapes') / 'set'
    done = run(out, '--train', 40, '--val', 24, '--size', 64, '--seed', 2, '--workers', 1)
    assert done.returncode == 0, done.stderr
    assert '40 + 24 images of 64 px, seed 2' in done.stdout
    return out


def test_same_bytes_with_several_processes(made, tmp_path):
    done = run(tmp_path / 'b', '--train', 40, '--val', 24, '--size', 64, '--seed', 2,
               '--workers', 2)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / 'b') == contents(made)


def test_more_images_leave_the_first_as_they_are(made, tmp_path):
    make_dataset(tmp_path / 'c', 44, 25, 64, 2)
    few, many = contents(made), contents(tmp_path / 'c')
    for name in few:
        if name.endswith('.jpg'):
            assert few[name] == many[name]
    few = json.loads(few['annotations/train.json'])
    many = json.loads(many['annotations/train.json'])
    assert many['images'][:40] == few['images']
    assert many['annotations'][:len(few['annotations'])] == few['annotations']


def test_coco_reads_it(made):
    for split, count in (('train', 40), ('val', 24)):
        coco = COCO(str(made / 'annotations' / f'{split}.json'))
        assert len(coco.imgs) == count == len(list((made / split).iterdir()))
        assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
        for image in coco.imgs.values():
            assert (made / split / image['file_name']).is_file()
            masks = [coco.annToMask(a) for a in coco.imgToAnns[image['id']]]
            if masks:
                assert np.sum(masks, axis=0, dtype=int).max() <= 1
        assert len(coco.anns) == len(coco.dataset['annotations'])


def test_made_once(made):
    before = contents(made), made.stat().st_mtime_ns
    done = run(made, '--train', 40, '--val', 24, '--size', 64, '--seed', 2)
    assert done.returncode == 0 and 'already exist' in done.stdout
    assert (contents(made), made.stat().st_mtime_ns) == before


def test_other_parameters_are_refused(made):
    before = contents(made)
    done = run(made, '--train', 40, '--val', 24, '--size', 96, '--seed', 2)
    assert done.returncode != 0 and done.stdout == ''
    assert done.stderr.count('\n') == 1
    for word in (str(made), 'size 64 instead of 96', '--overwrite'):
        assert word in done.stderr
    assert contents(made) == before


def test_overwrite_replaces_shapes_and_nothing_else(tmp_path):
    out = tmp_path / 'set'
    make_dataset(out, 2, 1, 64, 0)
    assert make_dataset(out, 3, 1, 64, 0, overwrite=True)
    assert len(list((out / 'train').iterdir())) == 3
    assert [p.name for p in tmp_path.iterdir()] == ['set']

    (out / 'train' / '000001.jpg').unlink()
    with pytest.raises(ExistingDataError, match='lacks images in train/'):
        make_dataset(out, 3, 1, 64, 0)
    assert make_dataset(out, 3, 1, 64, 0, overwrite=True)
    assert len(list((out / 'train').iterdir())) == 3

    mine = tmp_path / 'photos'
    mine.mkdir()
    (mine / 'a.txt').write_text('mine')
    with pytest.raises(ExistingDataError, match='holds no shapes data set'):
        make_dataset(mine, 2, 1, 64, 0, overwrite=True)
    with pytest.raises(ExistingDataError, match='is a file'):
        make_dataset(mine / 'a.txt', 2, 1, 64, 0, overwrite=True)
    assert (mine / 'a.txt').read_text() == 'mine'


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / 'set').mkdir()
    assert make_dataset(tmp_path / 'set', 1, 1, 64, 0)
    assert not make_dataset(tmp_path / 'set', 1, 1, 64, 0)


def test_an_error_midway_leaves_nothing(tmp_path, monkeypatch):
    def draw(*args):
        if args[-1] == 3:
            raise OSError('no space left')
        return []
    monkeypatch.setattr(dataset, '_draw', draw)
    with pytest.raises(OSError, match='no space left'):
        make_dataset(tmp_path / 'set', 5, 1, 64, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.linux
def test_a_killed_run_leaves_nothing_under_the_name(tmp_path):
    out = tmp_path / 'set'
    process = subprocess.Popen([sys.executable, str(TOOL), str(out), '--train', '100000',
                                '--val', '1', '--workers', '1'])
    try:
        end = time.monotonic() + 60
        while not list(tmp_path.glob('set.partial-*/train/*.jpg')):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()
    assert make_dataset(out, 1, 1, 64, 0)


@pytest.mark.parametrize('option, value, least', [
    ('train', 0, 1), ('val', 0, 1), ('size', 16, 64), ('seed', -1, 0)])
def test_numbers_out_of_range(tmp_path, option, value, least):
    done = run(tmp_path / 'set', f'--{option}', value)
    assert done.returncode != 0
    assert done.stderr == f'error: {option} is {value}: it must be at least {least}\n'
    assert list(tmp_path.iterdir()) == []


def test_the_generator_needs_no_torch():
    code = (f'import sys; sys.path.insert(0, {str(ROOT / "mmdet_lordre" / "datasets")!r}); '
            'import shapes; print({"torch", "mmengine", "mmcv", "mmdet"} & set(sys.modules))')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip() == 'set()', done.stderr


# Read by mmdet.

@pytest.fixture(scope='module')
def config(made):
    import mmdet.datasets
    import mmdet.evaluation  # noqa: F401
    init_default_scope('mmdet')
    cfg = Config.fromfile(ROOT / 'configs' / '_base_' / 'shapes.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = str(made)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        evaluator.ann_file = str(made / 'annotations' / 'val.json')
    return cfg


def test_config_names_the_classes(config):
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert tuple(loader.dataset.metainfo.classes) == CLASSES
        assert [tuple(c) for c in loader.dataset.metainfo.palette] == PALETTE


def test_training_samples(config, made):
    from mmdet.registry import DATASETS
    data = DATASETS.build(config.train_dataloader.dataset)
    assert len(data) == 40  # those without instances too
    coco = COCO(str(made / 'annotations' / 'train.json'))
    empty = 0
    for i in range(len(data)):
        sample = data[i]
        assert tuple(sample['inputs'].shape) == (3, 64, 64)
        truth, ignored = (sample['data_samples'].gt_instances,
                          sample['data_samples'].ignored_instances)
        marks = coco.imgToAnns[sample['data_samples'].img_id]
        assert len(truth) == sum(not a['iscrowd'] for a in marks)
        assert len(ignored) == sum(a['iscrowd'] for a in marks)
        assert truth.labels.tolist() == [a['category_id'] - 1 for a in marks if not a['iscrowd']]
        # A flip moves the pixels, their number stays.
        assert [int(m.sum()) for m in truth.masks] == [a['area'] for a in marks
                                                        if not a['iscrowd']]
        empty += len(truth) == 0
    assert empty < 10


def test_the_truth_scores_one(config, made):
    """Every annotation handed in as a prediction: AP is 1."""
    import torch
    from mmdet.registry import DATASETS, METRICS

    import mmdet_lordre  # noqa: F401
    data = DATASETS.build(config.val_dataloader.dataset)
    metric = METRICS.build(config.val_evaluator)
    metric.dataset_meta = data.metainfo
    for i in range(len(data)):
        sample = data[i]['data_samples']
        truth = sample.gt_instances
        sample.pred_instances = type(truth)(
            labels=truth.labels, scores=torch.ones(len(truth)), bboxes=truth.bboxes.tensor,
            masks=torch.from_numpy(truth.masks.masks).bool())
        metric.process({}, [sample.to_dict()])
    result = metric.evaluate(len(data))
    assert result['coco/segm_mAP'] == pytest.approx(1.0, abs=1e-6)
