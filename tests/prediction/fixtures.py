"""Fixtures of every test: pictures, and a work folder to predict them with."""
import pytest

from ..cli.tiny import NAMES, make_coco, write_config


@pytest.fixture(scope='session')
def pictures(tmp_path_factory):
    """A folder with val.json and five pictures in val/."""
    folder = tmp_path_factory.mktemp('pictures')
    make_coco(folder, 'val', 'val.json', count=5, seed=1)
    return folder


@pytest.fixture(scope='session')
def work_folder(tmp_path_factory):
    """A work folder as training leaves it, of a model that has learned nothing."""
    import torch
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import mmdet_lordre  # noqa: F401 - registers the model
    folder = tmp_path_factory.mktemp('model') / 'work'
    folder.mkdir()
    config = write_config(folder / 'tiny.py')
    cfg = Config.fromfile(config)
    init_default_scope('mmdet')
    cfg.model.mask_head.num_classes = len(NAMES)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(
        cfg=cfg.pretty_text, dataset_meta=dict(classes=NAMES), iter=3, epoch=1)),
        folder / 'iter_3.pth')
    (folder / 'last_checkpoint').write_text('/moved/elsewhere/iter_3.pth')
    return folder
