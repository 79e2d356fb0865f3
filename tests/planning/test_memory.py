"""Pictures that are read once and kept in memory."""
import dataclasses

import numpy as np
import pytest

from mmdet_lordre.planning import memory, rules
from mmdet_lordre.planning.fit import fit, steps_of
from mmdet_lordre.planning.plan import config_of
from mmdet_lordre.planning.sample import Looks
from mmdet_lordre.planning.writing import config_text

from .data import objects
from .test_rules import grid_of


@pytest.mark.parametrize('sizes, longer, expected', [
    ([(3000, 4000)] * 60, 256, 512),
    ([(600, 800)] * 18, 256, None),  # 3 times the pixels
    ([(600, 800)] * 18, 200, 400),  # 4 times
    ([(3000, 4000)] * 4000, 256, None),  # 2.2 GiB
    ([(3000, 4000)] * 9 + [(300, 400)], 256, 512),
    ([(3000, 4000)] * 4 + [(300, 400)] * 5, 256, None)])
def test_pictures_are_kept_in_memory_where_that_pays(monkeypatch, sizes, longer, expected):
    monkeypatch.setattr(rules, 'room', lambda: 2.)
    kept = rules.kept_whole(np.array(sizes), longer)
    assert (kept and kept.side) == expected
    if longer == 200:
        assert kept.gib == pytest.approx(18 * 3 * 300 * 400 / 2**30)


@pytest.mark.parametrize('count, tile, expected', [
    (50, 320, 1.),  # crops of 267 px become 320: nothing is lost by none
    (50, 500, 1.),  # little is saved
    (50, 3200, 0.12), (60, 320, None), (60, 1600, 0.24)])
def test_pictures_are_kept_to_cut_crops_from(monkeypatch, count, tile, expected):
    monkeypatch.setattr(rules, 'room', lambda: 2.)
    kept = rules.kept_for_crops(np.array([(3000, 4000)] * count), tile, 320)
    assert (kept and kept.scale) == expected


def test_how_much_is_kept_depends_on_what_is_free(monkeypatch, tmp_path):
    files = {name: tmp_path / name for name in ('_SYSTEM', '_LIMIT', '_TAKEN')}
    for name, path in files.items():
        monkeypatch.setattr(memory, name, path)
    assert memory.room() == 2  # nothing is known
    for gib, expected in ((4, 2), (20, 5), (100, 8)):
        files['_SYSTEM'].write_text(f'MemTotal: 1 kB\nMemAvailable: {gib * 2**20} kB\n')
        assert memory.room() == expected
    files['_LIMIT'].write_text('max\n')
    files['_TAKEN'].write_text(f'{2**30}\n')
    assert memory.room() == 8
    files['_LIMIT'].write_text(f'{13 * 2**30}\n')
    assert memory.room() == 3


def test_each_process_keeps_pictures_of_its_own(monkeypatch):
    one = fit(objects([grid_of(5, 160)], size=(1000, 1200)), Looks(), 'lordre', longer=128)
    one = dataclasses.replace(one, kept=memory.Kept(0.6, side=256))
    monkeypatch.setattr('mmdet_lordre.planning.fit.room', lambda: 2.)
    assert one.with_workers(0).kept and one.with_workers(3).kept
    assert one.with_workers(4).kept is None
    text = config_text(one.with_workers(3), ('a.json', 'a'), None)
    assert "type='KeepInMemory', gib=2, transforms" in text


def test_reading_once_takes_time_of_the_training():
    assert steps_of(1, 0.1) == 600
    # 100 images of 0.2 s: 20 s, then 40 s of steps
    assert steps_of(1, 0.1, 2, 100, 0.2) == 400
    # 10,000: none is seen twice, and each step reads two
    assert steps_of(1, 0.1, 2, 10_000, 0.2) == 120


@pytest.mark.parametrize('scale', [1., 0.12])
def test_crops_are_cut_from_what_is_kept(scale):
    data = objects([grid_of(5, 160)] * 5, size=(1000, 1200))
    one = dataclasses.replace(fit(data, Looks(), 'lordre', longer=320, tile=3000),
                              kept=memory.Kept(1., scale=scale))
    first, crop = config_of(config_text(one, ('a.json', 'a'), None)).train_pipeline[:2]
    assert first.shared and first.gib == 1.1
    assert [step.get('scale_factor') for step in first.transforms[2:]] == [scale] * (scale < 1)
    assert crop.crop_size == (round(2500 * scale), round(3750 * scale))


def test_what_is_kept_is_read_once_in_the_config():
    data = objects([grid_of(5, 160)] * 5, size=(1000, 1200))
    text = config_text(fit(data, Looks(), 'lordre', longer=128), ('a.json', 'a'), None)
    first, second = config_of(text).train_pipeline[:2]
    assert first.type == 'KeepInMemory' and second.type == 'RandomResize'
    assert [step.type for step in first.transforms] == [
        'LoadImageFromFile', 'LoadLazyAnnotations', 'Resize']
    assert first.transforms[2].scale == (256, 256)
