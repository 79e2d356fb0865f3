"""Every variant of the table of quirks is ready for training, or stops with the line it should."""
import hashlib
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdet_lordre.cli.main import explain
from mmdet_lordre.cli.train import main as train
from mmdet_lordre.config.checks import check_data, use_files
from mmdet_lordre.config.own_data import use_own_data
from mmdet_lordre.config.reading import load_config
from mmdet_lordre.errors import UserError

from ...cli.tiny import write_config
from .quirks import VARIANTS


def tree(root):
    """Every file of a folder, by its content."""
    return {str(path.relative_to(root)): hashlib.sha1(path.read_bytes()).hexdigest()
            for path in sorted(Path(root).rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return load_config(write_config(tmp_path_factory.mktemp('config') / 'tiny.py'))


def variant(tmp_path, write, change):
    """The files of a variant, in a folder whose name has spaces and accents."""
    source, _ = write(tmp_path / 'été 1' / 'my set')
    change(source)
    return source


@pytest.mark.parametrize('name, write, change, outcome', VARIANTS, ids=[v[0] for v in VARIANTS])
def test_ready_or_refused(name, write, change, outcome, tmp_path, config, capsys):
    source = variant(tmp_path, write, change)
    before = tree(source)
    cfg = Config(config.to_dict())
    work = tmp_path / 'work'
    try:
        classes = use_own_data(cfg, data=str(source), folder=str(work / 'converted'))
        splits = ('train', 'val') if cfg.get('val_dataloader') else ('train',)
        use_files(cfg, check_data(cfg, splits, clean_to=str(work / 'clean')))
    except UserError as error:
        line = explain(error)
        assert outcome is not None, line
        assert len(line) < 700 and line.isprintable()
        with pytest.raises(UserError, match=outcome):
            raise
    else:
        assert outcome is None, 'it should have been refused'
        dataset = cfg.train_dataloader.dataset.dataset
        assert classes and Path(dataset.ann_file).is_file()
        assert str(tmp_path) in dataset.ann_file
    assert tree(source) == before  # nothing is written beside the user's data
    out = capsys.readouterr().out
    assert 'Traceback' not in out


@pytest.mark.long
@pytest.mark.parametrize('name, write, change, outcome', VARIANTS, ids=[v[0] for v in VARIANTS])
def test_ten_steps(name, write, change, outcome, tmp_path):
    """The same with the command itself, and real training."""
    source = variant(tmp_path, write, change)
    extra = ("train_cfg = dict(type='IterBasedTrainLoop', max_iters=10, val_interval=10, "
             "_delete_=True)\n")
    config = write_config(tmp_path / 'tiny.py').replace('\\', '/')
    Path(config).write_text(Path(config).read_text().replace(
        "train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)",
        extra.replace(', _delete_=True', '')))
    options = [config, '--data', str(source), '--work-dir', str(tmp_path / 'work')]
    if outcome is None:
        assert train(options).iter == 10
    else:
        with pytest.raises(UserError, match=outcome):
            train(options)
