"""The largest batch that training may make, for the memory that steps take."""
import copy

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch.nn import functional

from ..config.reading import dicts_in, leaf_datasets, type_name


def largest_batch(cfg: Config) -> dict:
    """The images with most objects, as large as training varies them to, in a frame that holds the
    tallest and the widest image.

    Args:
        cfg: With training data.
    """
    loader = copy.deepcopy(cfg.train_dataloader)
    for one in leaf_datasets(loader.dataset):
        one.pop('indices', None)  # a typical batch is of those alone
    turned = False
    for step in dicts_in(loader.dataset):
        if 'ratio_range' in step:
            step['ratio_range'] = (max(step['ratio_range']), ) * 2
        turned |= type_name(step) == 'RandomTranspose'
    dataset = DATASETS.build(loader.dataset)
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    order = np.argsort([-len(info['instances']) for info in infos], kind='stable')
    images = [dataset[i] for i in np.resize(order, loader.batch_size)]
    tall = [info['height'] / info['width'] for info in infos]
    sides = np.max([image['inputs'].shape[1:] for image in [
        *images, dataset[int(np.argmax(tall))], dataset[int(np.argmin(tall))]]], axis=0)
    if turned:
        sides[:] = sides.max()
    first = images[0]['inputs']
    room = [int(side - own) for side, own in zip(sides, first.shape[1:])]
    images[0]['inputs'] = functional.pad(first, (0, room[1], 0, room[0]))
    return pseudo_collate(images)
