"""A Segmenter in a program that runs for long: what is left by each call, copies and processes."""
import copy
import gc
import multiprocessing
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

import mmdet_lordre


@pytest.fixture(scope='module')
def segmenter(work_folder):
    return mmdet_lordre.Segmenter(work_folder, device='cpu')


def masks(segmenter, source):
    return [result.masks for result in segmenter.predict(source, score_thr=0.0)]


@pytest.mark.linux
def test_evaluating_leaves_nothing(segmenter, pictures):
    def left():
        gc.collect()
        files = [os.path.realpath(f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')]
        return [len(kind._instance_dict) for kind in (MMLogger, MessageHub, DefaultScope,
                                                      Visualizer)], \
            [name for name in files if name.endswith(('.log', '.log (deleted)'))]
    logs = left()[1]  # of tests before this one
    segmenter.evaluate(pictures / 'val.json')
    before = left()
    segmenter.evaluate(pictures / 'val.json')
    assert left() == before and before[1] == logs


def test_copies(segmenter, pictures):
    found = masks(segmenter, pictures / 'val')
    for other in (copy.deepcopy(segmenter), pickle.loads(pickle.dumps(segmenter))):
        assert masks(other, pictures / 'val') == found and other.classes == segmenter.classes
    result = next(segmenter.predict(pictures / 'val', keep_image=True))
    again = pickle.loads(pickle.dumps(result))
    assert again.masks == result.masks and np.array_equal(again.image, result.image)


@pytest.mark.linux
def test_a_forked_process(segmenter, pictures):
    """After torch's threads have worked in the first process."""
    fork, threads = multiprocessing.get_context('fork'), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = list(map(len, masks(segmenter, pictures / 'val')))
        answers = fork.Queue()
        child = fork.Process(target=lambda: answers.put(
            (list(map(len, masks(segmenter, pictures / 'val'))), torch.get_num_threads())))
        child.start()
        try:
            assert answers.get(timeout=300) == (found, 1)
        finally:
            child.kill()
            child.join()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_buffer_that_is_used_again(segmenter):
    """Pictures of a generator are taken ahead of the network, before their memory changes."""
    random = np.random.default_rng(0)
    shots = random.integers(0, 256, (6, 48, 64, 3), np.uint8)

    def camera():
        buffer = np.empty(shots.shape[1:], np.uint8)
        for shot in shots:
            buffer[:] = shot
            yield buffer

    found = list(segmenter.predict(camera(), score_thr=0.0, batch=2, keep_image=True))
    assert all(np.array_equal(one.image, shot) for one, shot in zip(found, shots, strict=True))
    assert [one.masks for one in found] == [one.masks for one in segmenter.predict(
        list(shots), score_thr=0.0, batch=2)]


def test_a_generator_is_not_run_ahead_of(segmenter):
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield np.zeros((16, 16, 3), np.uint8)

    results = segmenter.predict(endless())
    assert not taken
    for done in range(8):
        next(results)
        assert len(taken) - done < 16
    results.close()
    assert len(taken) < 24
