"""Seconds of a call, whoever else computes."""
import time

import cv2
import numpy as np
import pytest
import torch

from mmdet_lordre.planning import stopwatch
from mmdet_lordre.planning.reading_once import ReadOnce
from mmdet_lordre.planning.stopwatch import seconds_of, speedup


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def clocks(monkeypatch, passed, worked, waited):
    """Clocks of which each call adds (passed, worked, waited) seconds."""
    now = [0., 0., 0.]
    for number, name in enumerate(('perf_counter', 'process_time')):
        monkeypatch.setattr(time, name, lambda number=number: now[number])
    monkeypatch.setattr(stopwatch, '_waited', lambda: now[2])
    turns = iter(range(10**6))

    def call():
        turn = next(turns)
        for number, values in enumerate((passed, worked, waited)):
            now[number] += values[min(turn, len(values) - 1)]
    return call


def test_one_thread_counts_what_it_computed(monkeypatch):
    torch.set_num_threads(1)
    # the first does not count; of the others the fewest
    call = clocks(monkeypatch, [1., 6., 4., 5.], [1., 3., 2., 4.], [0., 3., 2., 1.])
    assert seconds_of(call, 'cpu', 3) == 2


def test_of_several_threads_a_call_that_did_not_wait_counts(monkeypatch):
    torch.set_num_threads(2)
    call = clocks(monkeypatch, [9., 6., 4., 2.], [9., 6., 6., 4.], [0., 3., 0.1, 1.])
    assert seconds_of(call, 'cpu', 3) == 4


def test_where_all_have_waited_one_thread_computes_alone(monkeypatch):
    torch.set_num_threads(2)
    monkeypatch.setattr(stopwatch, 'speedup', lambda threads: 1.6)
    call = clocks(monkeypatch, [9., 9., 9., 9., 3.2], [9., 9., 9., 9., 3.2], [0., 5., 5., 5., 0.])
    assert seconds_of(call, 'cpu', 3) == pytest.approx(2)
    assert torch.get_num_threads() == 2


def test_on_a_gpu_the_clock_counts(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, 'synchronize', waited.append)
    call = clocks(monkeypatch, [1., 6., 4., 5.], [1., 1., 1., 1.], [0., 3., 2., 1.])
    assert seconds_of(call, 'cuda:1', 3) == 4
    assert set(map(str, waited)) == {'cuda:1'}


def test_slow_calls_are_few():
    calls = []
    seconds_of(lambda: calls.append(time.sleep(0.01)), 'cpu', 5, enough=0)
    assert 2 <= len(calls) <= 4  # of several threads on a busy machine two more


def test_more_threads_are_between_as_fast_and_so_many_times():
    assert speedup(1) == 1
    assert 1 <= speedup(2) <= 2


def test_pictures_are_read_once_and_count_each_time(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.zeros((8, 9, 3), np.uint8))
    reader = ReadOnce()
    try:
        first, second = (reader.transform(dict(img_path=str(path), mine=i)) for i in range(2))
        assert first['img'] is second['img'] and second['ori_shape'] == (8, 9)
        assert (first['mine'], second['mine']) == (0, 1)
        assert ReadOnce.a_picture() == ReadOnce.spent() > 0
    finally:
        ReadOnce.forget()
    assert ReadOnce.a_picture() == 0
