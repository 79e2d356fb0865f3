"""Programs of several threads, as web servers are: one model for all of them, or one for each."""
import copy
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from mmengine.config import Config

import mmdet_lordre
from mmdet_lordre import models
from mmdet_lordre.masks import RLEMasks
from mmdet_lordre.models import head_of

from .deployment.models import FAMILIES, build

#: What four requests ask for.
ASKED = (dict(score_thr=0.0), dict(score_thr=0.2, batch=2), dict(score_thr=0.4, keep_image=True),
         dict(score_thr=0.1, tile=64))


@pytest.fixture
def busy():
    """Threads take turns far more often than they do otherwise."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


def loaded(family):
    """A Segmenter as it is when its files are read."""
    segmenter = object.__new__(mmdet_lordre.Segmenter)
    segmenter.model = build(FAMILIES[family]() | dict(data_preprocessor=dict(
        type='DetDataPreprocessor', pad_size_divisor=32, mean=[120] * 3, std=[60] * 3)))
    segmenter.model.dataset_meta = dict(classes=('a', 'b', 'c'))
    segmenter.model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'), dict(type='Resize', scale=(96, 96), keep_ratio=True),
        dict(type='PackDetInputs', meta_keys=('ori_shape', 'img_shape', 'scale_factor'))]))))
    return segmenter


def values(results):
    return [(one.name, one.size, one.masks, one.scores.tolist(), one.labels.tolist(),
             one.boxes.tolist(), None if one.image is None else one.image.tobytes())
            for one in results]


@pytest.mark.parametrize('family', FAMILIES)
def test_one_model_and_four_threads(family, busy, monkeypatch):
    """Each gets what it would get alone; none makes bitmaps, and the head is not touched."""
    segmenter, given = loaded(family), []
    head = head_of(segmenter.model)
    before, step = copy.deepcopy(dict(head.test_cfg)), segmenter.model.test_step

    def spied(data):
        given.append(dict(head.test_cfg) == before)
        samples = step(data)
        given.extend(isinstance(sample.pred_instances.masks, RLEMasks) for sample in samples)
        return samples
    monkeypatch.setattr(segmenter.model, 'test_step', spied)
    random = np.random.default_rng(0)
    pictures = [[random.integers(0, 256, (60 + 9 * i, 90 - 7 * j, 3), np.uint8) for j in range(2)]
                for i in range(4)]

    def answer(which):
        return values(segmenter.predict(pictures[which], **ASKED[which]))

    alone = [answer(which) for which in range(4)]
    assert sum(len(masks) for one in alone for _, _, masks, *_ in one) > 9
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(answer, range(4)))
    assert together == alone
    assert all(given) and dict(head.test_cfg) == before


def test_models_are_built_one_at_a_time(work_folder, monkeypatch):
    """The scope of mmengine's registries is that of the process."""
    building, most, lock = [0], [], threading.Lock()
    build_one = models.MODELS.build

    def slow(*args, **kwargs):
        with lock:
            building[0] += 1
            most.append(building[0])
        time.sleep(0.05)
        try:
            return build_one(*args, **kwargs)
        finally:
            with lock:
                building[0] -= 1
    monkeypatch.setattr(models, 'MODELS', type('Spy', (), dict(build=staticmethod(slow))))
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda _: mmdet_lordre.Segmenter(work_folder, device='cpu'), range(3)))
    assert max(most) == 1 and len(most) == 3
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with ThreadPoolExecutor(3) as pool:
        first, *others = pool.map(lambda one: values(one.predict([picture] * 4)), made)
    assert others == [first] * 2
