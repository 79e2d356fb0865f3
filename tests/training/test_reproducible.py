"""Order and random numbers of training data, by position."""
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset

from mmdet_lordre.errors import UserError
from mmdet_lordre.training.reproducible import reproducible_loader


class Numbers(Dataset):
    metainfo = dict(classes=('a',))

    def __init__(self):
        self.scale = 1

    def __len__(self):
        return 10

    def __getitem__(self, index):
        assert type(index) is int
        return (index * self.scale, random.random(), float(np.random.rand()),
                float(torch.rand(())))


def loader(sampler=DefaultSampler, workers=0, seed=5, rank=0, world=1, batch=4):
    numbers = Numbers()
    made = sampler(numbers, seed=seed)
    made.rank, made.world_size = rank, world
    made.num_samples = len(numbers) // world
    if hasattr(made, 'indices'):
        made.indices = made._indices_of_rank()
    found = reproducible_loader(DataLoader(
        numbers, batch_sampler=BatchSampler(made, batch, drop_last=False),
        num_workers=workers, collate_fn=list), seed)
    found.batch_sampler.rank, found.batch_sampler.world_size = rank, world
    return found


def take(found, count, **begin):
    found.batch_sampler.begin(**begin)
    iterator = iter(found)
    return [next(iterator) for _ in range(count)]


@pytest.mark.parametrize('sampler', [DefaultSampler, InfiniteSampler])
def test_going_on_gives_what_comes_next(sampler):
    whole = take(loader(sampler), 7, first=0, endless=True)
    rest = take(loader(sampler), 3, first=4, skip=4, endless=True)
    assert rest == whole[4:]
    assert whole != take(loader(sampler, seed=6), 7, first=0, endless=True)
    # no two samples drew the same
    drawn = [sample[1:] for batch in whole for sample in batch]
    assert len(set(drawn)) == len(drawn)


def test_workers_do_not_matter():
    assert take(loader(), 5, first=0, endless=True) == \
        take(loader(workers=2), 5, first=0, endless=True)


def test_two_processes_see_what_one_sees():
    one = take(loader(batch=4), 2, first=0)
    parts = [take(loader(batch=2, rank=rank, world=2), 2, first=0) for rank in (0, 1)]
    for k in range(2):
        assert [parts[0][k][0], parts[1][k][0], parts[0][k][1], parts[1][k][1]] == one[k]


def test_a_pass_ends_unless_it_is_endless():
    found = loader()
    found.batch_sampler.begin(0)
    assert [len(batch) for batch in found] == [4, 4, 2] and len(found) == 3
    found.batch_sampler.begin(2, skip=2)
    assert [len(batch) for batch in found] == [2]


def test_other_random_numbers_are_left_alone():
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    expected = float(torch.rand(())), np.random.rand(), random.random()
    torch.manual_seed(0), np.random.seed(0), random.seed(0)
    loader().dataset[3, 0, 0]
    assert (float(torch.rand(())), np.random.rand(), random.random()) == expected


def test_the_data_set_is_seen_through():
    """Hooks read and change attributes of the training data."""
    found = loader()
    assert found.dataset.metainfo == Numbers.metainfo
    found.dataset.scale = 10
    assert found.dataset[3, 0, 0][0] == 30
    with pytest.raises(AttributeError):
        found.dataset.nothing  # noqa: B018


@pytest.mark.parametrize('left, said', [(0, 'no image of the training data is left'),
                                        (3, '3 images are fewer than a batch')])
def test_nothing_to_train_on(monkeypatch, left, said):
    numbers = Numbers()
    monkeypatch.setattr(Numbers, '__len__', lambda self: left)
    made = DataLoader(numbers, batch_sampler=BatchSampler(range(left), 4, drop_last=True))
    with pytest.raises(UserError, match=said):
        reproducible_loader(made, 0)
