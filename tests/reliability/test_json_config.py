"""Tools read configs that are data."""
import pytest
from mmengine.config import Config

from mmdet_lordre.cli.demo import main as demo
from mmdet_lordre.cli.test import main as run_test
from mmdet_lordre.cli.train import main as train

from ..cli.tiny import write_config


@pytest.mark.parametrize('suffix', ['json', 'yaml'])
def test_train_test_and_demo(data, tmp_path, suffix):
    path = str(tmp_path / f'config.{suffix}')
    Config.fromfile(write_config(tmp_path / 'config.py')).dump(path)
    runner = train([path, '--train-ann', f'{data}/train.json', '--val-ann', f'{data}/val.json',
                    '--work-dir', f'{tmp_path}/w'])
    checkpoint = f'{tmp_path}/w/epoch_1.pth'
    # the config written beside the checkpoint is of the same kind, and trains and tests as it is
    written = f'{tmp_path}/w/config.{suffix}'
    assert Config.fromfile(written).model == runner.cfg.model
    figures = run_test([path, checkpoint, '--ann', f'{data}/val.json', '--eval', 'segm',
                        '--work-dir', f'{tmp_path}/t'])
    assert 'coco/segm_mAP' in figures
    assert demo([f'{data}/val/00.png', written, checkpoint, '--out', f'{tmp_path}/d'])
