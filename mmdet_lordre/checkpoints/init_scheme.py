"""``init_cfg`` straight from a published ImageNet file."""
import os

import torch
from mmengine.dist import barrier, get_rank
from mmengine.runner.checkpoint import CheckpointLoader

from .convert import convert_state_dict
from .reading import read_checkpoint

PREFIX = 'published://'


@CheckpointLoader.register_scheme(prefixes=PREFIX)
def load_published(filename: str, map_location=None) -> dict:
    """Load a published checkpoint in this project's names.

    With it, ``init_cfg=dict(type='Pretrained', checkpoint='published://PATH_OR_URL')`` starts a
    backbone from a file of timm, detectron2, torchvision or PVT, without a step in between.

    Args:
        filename: ``published://`` and a path or an http(s) address.
        map_location: not used; tensors are on the CPU, from where they are copied.
    """
    path = filename[len(PREFIX):]
    if path.startswith(('http://', 'https://')):
        path = _download(path)
    state, meta = read_checkpoint(path)
    return dict(state_dict=convert_state_dict(state, meta=meta).state)


def _download(url: str) -> str:
    """Path of a downloaded file, in the folder where torch keeps checkpoints."""

    folder = os.path.join(torch.hub.get_dir(), 'checkpoints')
    path = os.path.join(folder, os.path.basename(url))
    if get_rank() == 0 and not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        torch.hub.download_url_to_file(url, path)
    barrier()
    return path
