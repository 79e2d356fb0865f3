"""Counting: by hand, against mmengine's counter, and as the tool prints it."""
import math
import runpy
from pathlib import Path

import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from torch import nn

import mmdet_lordre  # noqa: F401 - registers the models
from mmdet_lordre.analysis.complexity import complexity, input_size
from mmdet_lordre.checkpoints.verify import build_untrained
from mmdet_lordre.cli.get_flops import main
from mmdet_lordre.cli.main import run
from tests.parity.case import OWN_CASES, ParityCase

ROOT = Path(__file__).resolve().parents[2]
R50 = ROOT / 'configs/lordre/lordre_r50_giam_8xb8-270k_coco.py'
SOFT = ROOT / 'configs/lordre/lordre_r50_giam-soft_8xb8-270k_coco.py'
VD = ROOT / 'configs/lordre/lordre_r50vd_giam_8xb8-270k_coco.py'
DCN = ROOT / 'configs/lordre/lordre_r50vd-dcn_giam_8xb8-270k_coco.py'


def test_the_size_is_the_padded_test_size():
    assert input_size(Config.fromfile(R50)) == (640, 864)
    cfg = Config.fromfile(R50)
    cfg.test_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile')]
    with pytest.raises(ValueError, match='Resize'):
        input_size(cfg)
    cfg.test_dataloader = None
    with pytest.raises(ValueError, match='Resize'):
        input_size(cfg)


def test_parameters():
    """As many as the published checkpoint of the model has, norms' statistics aside."""
    shapes = ParityCase(OWN_CASES / 'lordre_r50_giam_soft.json').meta['shapes']
    published = {name: math.prod(shape) for name, shape in shapes.items()
                 if not name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))}
    cost = complexity(Config.fromfile(SOFT), (96, 128))
    assert cost.params == sum(published.values())
    assert cost.size == (96, 128)


def test_equals_mmengine_where_both_count():
    """mmengine also counts norms and resizes, so convolutions and linear layers are compared."""
    cfg = Config.fromfile(R50)
    cfg.model.backbone.pop('init_cfg')
    model = build_untrained(cfg).to_empty(device='cpu')
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            value.zero_()

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model.eval()

        def forward(self, x):
            return self.model.mask_head(self.model.extract_feat(x))

    theirs = get_model_complexity_info(Network(), (3, 96, 128), show_table=False, show_arch=False)
    assert complexity(cfg, (96, 128)).macs == pytest.approx(theirs['flops'], rel=0.02)


def test_deformable_convolution_counts_as_a_convolution_and_its_offsets():
    """Six blocks of stage 4 and three of stage 5 have it; offsets have 18 channels."""
    plain, deformable = (complexity(Config.fromfile(path), (96, 128)) for path in (VD, DCN))
    stage4, stage5 = 6 * 8, 3 * 4  # pixels of 96 x 128 at strides 16 and 32
    offsets = 9 * 18 * (6 * 256 * stage4 + 3 * 512 * stage5)
    assert deformable.macs - plain.macs == offsets
    assert deformable.params - plain.params == 6 * (9 * 256 + 1) * 18 + 3 * (9 * 512 + 1) * 18


def test_the_tool(capsys, monkeypatch):
    ran = []
    with monkeypatch.context() as patched:
        patched.setattr('mmdet_lordre_command.run', ran.append)
        runpy.run_path(str(ROOT / 'tools/get_flops.py'), run_name='__main__')
    assert ran == ['get-flops']
    run(*ran, [str(R50), '--shape', '96', '128', '--cfg-options', 'model.mask_head.num_classes=3'])
    out = capsys.readouterr().out
    cfg = Config.fromfile(R50)
    cfg.model.mask_head.num_classes = 3
    cost = complexity(cfg, (96, 128))
    assert 'input       96 x 128' in out
    assert f'parameters  {cost.params / 1e6:.2f} M' in out
    assert f'FLOPs       {cost.macs / 1e9:.2f} G' in out


def test_the_tool_names_a_missing_config(error_line):
    assert error_line(main, 'gone.py') == 'error: no such config: gone.py'
