"""What a step costs, of times that are given."""
import dataclasses
import json
from pathlib import Path

import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from PIL import Image

from mmdet_lordre.planning import cost
from mmdet_lordre.planning import measuring as measuring_module
from mmdet_lordre.planning.fit import fit
from mmdet_lordre.planning.largest import largest_batch
from mmdet_lordre.planning.measuring import Measuring
from mmdet_lordre.planning.memory import Kept
from mmdet_lordre.planning.objects import read_both, read_objects
from mmdet_lordre.planning.reading_once import ReadOnce
from mmdet_lordre.planning.sample import Looks

from .data import coco, square, write


@pytest.mark.parametrize('workers,computing,expected', [
    (0, 0.1, (0.5, 0.4)), (4, 0.2, (0.2, 0.1)), (2, 0.1, (0.2, 0.2))])
def test_loading_is_added_or_goes_on_beside(monkeypatch, workers, computing, expected):
    monkeypatch.setattr(cost, '_typical', lambda cfg: ({}, 0.4))
    monkeypatch.setattr(cost, 'largest_batch', lambda cfg: {})
    monkeypatch.setattr(cost, 'build', lambda cfg, device: cost.nn.Identity())
    monkeypatch.setattr(cost, 'build_optim_wrapper', lambda model, cfg: None)
    monkeypatch.setattr(cost, 'seconds_of', lambda step, device, steps, enough: computing)
    found = cost.measure_steps(Config(dict(
        optim_wrapper=dict(), train_dataloader=dict(num_workers=workers))), 'cpu')
    assert (found.step, found.load) == pytest.approx(expected)


@pytest.mark.parametrize('kept', [True, False])
def test_what_is_kept_costs_reading_once(monkeypatch, tmp_path, kept):
    reads, read = [], LoadImageFromFile.transform
    monkeypatch.setattr(LoadImageFromFile, 'transform',
                        lambda self, results: reads.append(results) or read(self, results))
    # a clock that ticks when a file is read
    monkeypatch.setattr('mmdet_lordre.planning.reading_once.working_clock', lambda: ticks(reads))
    monkeypatch.setattr(cost, 'working_clock', lambda: ticks(reads))
    monkeypatch.setattr(cost, 'seconds_of', lambda step, *args: 10.)
    train, _ = read_both(write(tmp_path, coco([[(square(20, 20, 30), 0)]] * 6)))
    one = fit(train, Looks(), 'lordre', 'nano', 96, 2)
    with Measuring(train, 'cpu') as measuring:
        found = measuring.steps(dataclasses.replace(one, kept=Kept(1., side=128) if kept else None),
                                ('float32', ))
    assert (found.step, found.load, found.first) == ((10, 0, 1) if kept else (12, 2, 0))


@pytest.mark.parametrize('enough, count', [(60., 4), (0., 2)])
def test_slow_loading_is_measured_on_fewer_batches(monkeypatch, tmp_path, enough, count):
    monkeypatch.setattr(cost, '_ENOUGH', enough)
    train, _ = read_both(write(tmp_path, coco([[(square(20, 20, 30), 0)]] * 8)))
    with Measuring(train, 'cpu') as measuring:
        cfg = measuring._config(fit(train, Looks(), 'lordre', 'nano', 96, 1))
        assert len(cost.batches_of(cfg, 4)[0]) == count


def ticks(reads):
    """A clock of its own that counts what is appended from now on."""
    began = len(reads)
    return lambda: float(len(reads) - began)


def test_the_largest_batch_is_what_memory_is_measured_with(tmp_path, monkeypatch):
    """The fullest images, at 1.2 times the size, in a frame for the tall one and the wide one."""
    objects = [(square(20, 20, 30), 0)]
    full = [(square(x, 20, 8), 0) for x in range(10, 70, 12)]
    pictures = [objects, full, objects, objects * 2, objects]
    data = coco(pictures, size=(80, 80))
    for image, (height, width) in zip(data['images'], [(80, 80), (80, 80), (80, 64), (80, 80),
                                                       (64, 80)]):
        image.update(height=height, width=width)
    train, _ = read_both(write(tmp_path, data))
    one = fit(train, Looks(), 'lordre', 'nano', 160, 2)
    taken = []
    monkeypatch.setattr(cost, 'seconds_of',
                        lambda step, *_: [step() for _ in range(3)] and 1.)
    monkeypatch.setattr(cost, 'build', lambda cfg, device: Recorder(taken))
    monkeypatch.setattr(cost, 'build_optim_wrapper', lambda model, cfg: None)
    with Measuring(train, 'cpu') as measuring:
        measuring.steps(dataclasses.replace(one, transposed=False), ('float32', ))
    first, *others = taken
    assert [len(sample.gt_instances) for sample in first['data_samples']] == [5, 2]
    assert [tuple(image.shape[1:]) for image in first['inputs']] == [(192, 192), (192, 192)]
    assert len(others) == 2 and others[0]['inputs'][0].shape[-1] <= 192


def test_the_largest_batch_is_found_among_many_images(tmp_path):
    """Whatever a sample shows; the typical batch is that of a sample."""
    full = [(square(8 * (i % 9), 8 * (i // 9), 6), 0) for i in range(70)]
    pictures = [[(square(20, 20, 30), 0)] for _ in range(400)]
    pictures[211] = pictures[307] = full
    data = coco(pictures, size=(80, 80))
    data['images'][5].update(height=160, width=40)
    path = write(tmp_path, data, draw=False)
    for image in data['images']:
        Image.new('1', (image['width'], image['height'])).save(tmp_path / image['file_name'])
    train, _ = read_both(path, seconds=0)
    one = fit(train, Looks(), 'lordre', 'nano', 80, 2)
    with Measuring(train, 'cpu') as measuring:
        cfg = measuring._config(dataclasses.replace(one, transposed=False))
        assert {len(sample.gt_instances) for batch in cost.batches_of(cfg, 32)[0]
                for sample in batch['data_samples']} == {1}
        # nor do these tell how long reading takes
        before = len(ReadOnce._seconds)
        with ReadOnce.uncounted():
            batch = largest_batch(cfg)
        assert len(ReadOnce._seconds) == before
    assert [len(sample.gt_instances) for sample in batch['data_samples']] == [70, 70]
    assert tuple(batch['inputs'][0].shape[1:]) == (96, 96)
    drawn = len(json.loads(Path(measuring_module.few_images(train, str(tmp_path))[0]).read_text())
                ['images'])
    assert 64 < drawn <= 70


def test_rare_images_are_within_the_pixels_that_are_read(tmp_path, monkeypatch):
    train = read_objects(coco([[(square(20, 20, 30), 0)]] * 40), 'hand.json', None)
    monkeypatch.setattr(measuring_module, '_PIXELS', 6.5 * 128**2)
    path, drawn = measuring_module.few_images(train, str(tmp_path))
    assert drawn == 3 and len(json.loads(Path(path).read_text())['images']) <= 6


def test_images_that_cannot_be_learned_are_not_measured(tmp_path):
    data = coco([[(square(4, 4, 20), 0)]] * 3, size=(64, 64))
    path = write(tmp_path, data)
    # one that is gone is the tallest, another has no size either
    data['images'] = [dict(id=98, file_name='a.png', height=900, width=20), data['images'][0],
                      dict(id=99, file_name='b.png'), *data['images'][1:]]
    Path(path).write_text(json.dumps(data))
    train, _ = read_both(path)
    assert train.files == ['1.png', '2.png', '3.png'] and train.images.tolist() == [0, 1, 2]
    assert train.sizes.tolist() == [[64, 64]] * 3 and len(train.wrong_images) == 2
    with Measuring(train, 'cpu') as measuring:
        cfg = measuring._config(fit(train, Looks(), 'lordre', 'nano', 96, 1))
        assert len(largest_batch(cfg)['inputs']) == 1


def test_pictures_that_lie_down_or_stand(tmp_path):
    data = coco([[(square(4, 4, 20), 0)]] * 2, size=(80, 40))
    train, _ = read_both(write(tmp_path, data))
    one = fit(train, Looks(), 'lordre', 'nano', 160, 1)
    for turned, shape in ((False, (192, 96)), (True, (192, 192))):
        with Measuring(train, 'cpu') as measuring:
            batch = largest_batch(measuring._config(dataclasses.replace(one, transposed=turned)))
        assert tuple(batch['inputs'][0].shape[1:]) == shape


class Recorder(cost.nn.Module):
    """Keeps what it is trained on."""

    def __init__(self, taken):
        super().__init__()
        self.taken = taken

    def train_step(self, batch, wrapper):
        self.taken.append(batch)
