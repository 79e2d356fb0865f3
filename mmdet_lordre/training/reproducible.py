"""Training whose random numbers depend on where it is, not on what was drawn before.

Every sample is loaded with generators seeded by (seed, iteration, place in the global batch),
every iteration computes with generators seeded by (seed, iteration, process). So a run that
goes on from a checkpoint draws what the uninterrupted one draws, with any number of workers
and without loading again what was already seen; and two processes augment their samples like
one process with twice the batch. Nothing has to be stored.
"""
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmdet.registry import LOOPS
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_dist_info
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from ..config.schedule import counts_epochs
from ..errors import UserError
from ..text import agree, plural
from .resume import VALIDATED, note_validation


def seed_generators(*key: int) -> np.ndarray:
    """Seed Python's, NumPy's and torch's (CPU) generators by integers >= 0."""
    words = np.random.SeedSequence(key).generate_state(4)
    random.seed(words.tobytes())
    np.random.seed(words)
    torch.default_generator.manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)
    return words


@contextmanager
def generators_kept() -> Iterator[None]:
    """Put the three generators back as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class SeededSamples(Dataset):
    """A data set that is asked for (index, iteration, place) and seeds by the latter two.

    Everything else is the inner data set's.
    """

    def __init__(self, dataset: Dataset, seed: int):
        vars(self).update(dataset=dataset, seed=seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int, int]) -> dict:
        index, *where = key
        with generators_kept():
            seed_generators(self.seed, *where)
            return self.dataset[index]

    def __getattr__(self, name):
        if name.startswith('__') or 'dataset' not in vars(self):  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __setattr__(self, name, value):
        setattr(self.dataset, name, value)


class PlacedBatches(Sampler):
    """Batches of (index, iteration, place) from batches of indices.

    Args:
        batches: mmengine's, torch's or mmdet's batch sampler, with a ``sampler``.

    Attributes:
        first: Number of the iteration that the next pass begins with.
        skip: Batches that the next pass leaves out at its beginning.
        endless: Whether a pass goes on with the next epoch of the sampler.
    """

    def __init__(self, batches: Sampler):
        self.batches = batches
        self.first, self.skip, self.endless = 0, 0, False
        self.rank, self.world_size = get_dist_info()

    @property
    def sampler(self) -> Sampler:
        return self.batches.sampler

    @property
    def batch_size(self) -> int:
        return self.batches.batch_size

    @property
    def drop_last(self) -> bool:
        return self.batches.drop_last

    def __len__(self) -> int:
        return len(self.batches)

    def begin(self, first: int, skip: int = 0, endless: bool = False) -> None:
        """Say what the next pass is.

        Args:
            first: Iteration that it begins with.
            skip: Batches of it that were seen already.
            endless: Whether passes follow each other without an end.
        """
        self.first, self.skip, self.endless = first, skip, endless

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        number, skip = self.first, self.skip
        for batch in self._epochs() if self.endless else self.batches:
            if skip:
                skip -= 1
                continue
            # DefaultSampler and InfiniteSampler deal out one order to the processes in turn
            yield [(index, number, place * self.world_size + self.rank)
                   for place, index in enumerate(batch)]
            number += 1

    def _epochs(self):
        epoch = 0
        while True:
            empty = True
            for batch in self.batches:
                empty = False
                yield batch
            if empty:
                return
            epoch += 1
            if hasattr(self.sampler, 'set_epoch'):
                self.sampler.set_epoch(epoch)


class _LateLoader(DataLoader):
    """A loader whose workers start when the first batch is asked for, not before."""

    def __iter__(self):
        yield from super().__iter__()


def reproducible_loader(loader: DataLoader, seed: int) -> DataLoader:
    """The same loader with samples seeded by their place.

    Args:
        loader: For training; one that does not form batches is returned as it is.
        seed: Of the run.

    Raises:
        UserError: The data set gives no batch.
    """
    if loader.batch_sampler is None:
        return loader
    count = len(loader.dataset)
    if not count or not len(loader):
        raise UserError('there is nothing to train on: '
                        + (f'{plural(count, "image")} {agree(count, "is", "are")} fewer than a '
                           'batch, and drop_last=True'
                           if count else 'no image of the training data is left (those without '
                           'instances count only with filter_cfg.filter_empty_gt=False)'))
    return _LateLoader(
        SeededSamples(loader.dataset, seed), batch_sampler=PlacedBatches(loader.batch_sampler),
        num_workers=loader.num_workers, collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory, timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context, generator=loader.generator,
        prefetch_factor=loader.prefetch_factor, persistent_workers=loader.persistent_workers)


def _validate(loop: EpochBasedTrainLoop | IterBasedTrainLoop) -> None:
    loop.runner.val_loop.run()
    note_validation(loop.runner)


def _validation_is_missing(loop: EpochBasedTrainLoop | IterBasedTrainLoop) -> bool:
    """Whether the checkpoint that a run goes on from is older than the validation due there.

    A checkpoint is written before the validation of its iteration. What that would have changed
    (the best score and its file, schedulers and hooks that follow a score) is not in it.
    """
    runner = loop.runner
    return (runner._resume and runner.val_loop is not None and loop.iter > 0
            and runner.message_hub.runtime_info.get(VALIDATED) != loop.iter)


def _seed_iteration(loop: EpochBasedTrainLoop | IterBasedTrainLoop) -> None:
    rank, _ = get_dist_info()
    # one more number than samples have: never the same generators
    words = seed_generators(loop.runner.seed, loop.iter, rank, 1)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(int(words[2]))


@LOOPS.register_module()
class ReproducibleEpochLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, which can also go on in the middle of one.

    Raises:
        UserError: The sampler never ends an epoch.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if isinstance(self.dataloader.batch_sampler.sampler, InfiniteSampler):
            raise UserError('train_cfg counts epochs, but train_dataloader.sampler is an '
                            'InfiniteSampler, with which the first one never ends: use '
                            "sampler=dict(type='DefaultSampler', shuffle=True)")

    def run(self) -> nn.Module:
        """Train; begins with the validation that an interruption has left out."""
        runner = self.runner
        runner.call_hook('before_train')
        began = runner.message_hub.runtime_info.get('epoch_began')
        if _validation_is_missing(self) and not (began and began[0] == self._epoch):
            self._validate_when_due()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate_when_due()
        runner.call_hook('after_train')
        return runner.model

    def _validate_when_due(self) -> None:
        self._decide_current_val_interval()
        if self.runner.val_loop is not None and self._epoch >= self.val_begin and (
                self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs):
            _validate(self)

    def run_epoch(self) -> None:
        """Train for an epoch, or for what is left of it."""
        runner = self.runner
        runner.call_hook('before_train_epoch')
        runner.model.train()
        began = runner.message_hub.runtime_info.get('epoch_began')
        done = self._iter - began[1] if began and began[0] == self._epoch else 0
        runner.message_hub.update_info('epoch_began', [self._epoch, self._iter - done])
        self.dataloader.batch_sampler.begin(self._iter, skip=done)
        for index, batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, batch)
        runner.call_hook('after_train_epoch')
        self._epoch += 1

    def run_iter(self, idx: int, data_batch: dict) -> None:
        _seed_iteration(self)
        super().run_iter(idx, data_batch)


@LOOPS.register_module()
class ReproducibleIterLoop(IterBasedTrainLoop):
    """mmengine's loop over iterations; going on costs no loading of what was seen.

    Epochs of the sampler follow each other without a pause and without new workers.
    """

    def run(self) -> nn.Module:
        """Train; begins with the validation that an interruption has left out."""
        runner = self.runner
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        if _validation_is_missing(self):
            self._validate_when_due()
        self.dataloader.batch_sampler.begin(self._iter, skip=self._iter, endless=True)
        self.dataloader_iterator = iter(self.dataloader)
        while self._iter < self._max_iters and not self.stop_training:
            runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._validate_when_due()
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _validate_when_due(self) -> None:
        self._decide_current_val_interval()
        if self.runner.val_loop is not None and self._iter >= self.val_begin and (
                self._iter % self.val_interval == 0 or self._iter == self._max_iters):
            _validate(self)

    def run_iter(self, data_batch: dict) -> None:
        _seed_iteration(self)
        super().run_iter(data_batch)


def reproducible_loop(config: dict) -> dict | None:
    """The train_cfg with our loop in place of mmengine's, or None for a loop of another kind."""
    in_epochs = counts_epochs(config)
    if in_epochs is None:
        return None
    config = dict(config)
    if config.pop('type', None) is None:
        del config['by_epoch']
    return dict(config, type=ReproducibleEpochLoop if in_epochs else ReproducibleIterLoop)
