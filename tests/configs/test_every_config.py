"""Every config is complete: its pipelines, optimizer, schedule and evaluators are built.

Configs that share a model (other schedules, augmentations, precisions) share a step of it:
test_steps.py and test_steps_of_grids.py.
"""
import pytest
from mmdet.registry import DATASETS, METRICS, TRANSFORMS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

from mmdet_lordre.checkpoints.verify import build_untrained

from .steps import PATHS, models


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_the_rest_is_complete(path):
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = loader.dataset
        while 'dataset' in dataset:
            dataset = dataset.dataset
        assert DATASETS.get(dataset.type), dataset.type
        for transform in dataset.pipeline:
            TRANSFORMS.build(transform)
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        for metric in evaluator if isinstance(evaluator, list) else [evaluator]:
            assert METRICS.get(metric.type), metric.type
    if cfg.optim_wrapper.type == 'AmpOptimWrapper':
        # It builds on a GPU only.
        cfg.optim_wrapper = dict(cfg.optim_wrapper, type='OptimWrapper')
        cfg.optim_wrapper.pop('loss_scale')
    wrapper = build_optim_wrapper(build_untrained(cfg), cfg.optim_wrapper)
    assert wrapper.param_groups
    assert cfg.param_scheduler and cfg.train_cfg and cfg.val_cfg is not None
    # What is written into a checkpoint must read back; text of one model is laid out once.
    cfg._format_python_code = path in models()
    assert Config.fromstring(cfg.pretty_text, '.py').model == cfg.model
