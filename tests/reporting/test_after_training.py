"""What is said of the report when a training has ended."""
import logging
import os
import signal
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.logging import HistoryBuffer

from mmdet_lordre.reporting import after_training
from mmdet_lordre.training.interrupt import Interrupted, InterruptHook


@pytest.mark.parametrize('evaluator, expected', [
    (dict(type='CocoMaskMetric', max_dets=(10, 100, 330)), (10, 100, 330)),
    (dict(type='CocoMaskMetric'), None), (dict(type='LVISMaskMetric', max_dets=300), None)])
def test_a_report_counts_what_the_validation_counted(evaluator, expected, monkeypatch, tmp_path):
    monkeypatch.setattr(after_training, '_facts', lambda runner, cfg: {})
    monkeypatch.setattr(after_training, 'class_names_of', lambda cfg: ())
    sources = []
    monkeypatch.setattr(after_training, 'write_report', lambda folder, found: sources.extend(found))
    runner = SimpleNamespace(iter=1, epoch=1, logger=logging.getLogger('ended'),
                             message_hub=SimpleNamespace(runtime_info={}))
    after_training.report_on_training(runner, Config(dict(
        work_dir=str(tmp_path), val_evaluator=evaluator, val_dataloader=None)))
    assert sources[0].max_dets == expected


@pytest.mark.parametrize('best, last, said', [
    (None, 0.3, False), ('work/best_coco_segm_mAP_iter_40.pth', 0.5, False),
    ('work/best_coco_segm_mAP_epoch_4.pth', 0.5, False),
    ('work/best_coco_segm_mAP_iter_4.pth', 0.3, True),
    ('work/best_coco_segm_mAP_iter_140.pth', 0.3, True),
    ('work/best_coco_segm_mAP_iter_4.pth', 0.5, False)])  # as good
def test_an_earlier_validation_that_was_better_is_named(best, last, said, monkeypatch, tmp_path,
                                                        caplog):
    monkeypatch.setattr(after_training, '_facts', lambda runner, cfg: {})
    monkeypatch.setattr(after_training, '_validation_files', lambda cfg: (None, None))
    monkeypatch.setattr(after_training, 'class_names_of', lambda cfg: ())
    monkeypatch.setattr(after_training, 'find_source', lambda folder: None)
    monkeypatch.setattr(after_training, 'write_report', lambda folder, sources: 'report.html')
    logger = logging.getLogger('ended')
    runner = SimpleNamespace(iter=40, epoch=4, logger=logger, message_hub=SimpleNamespace(
        runtime_info={} if best is None else dict(best_ckpt=best, best_score=0.5),
        log_scalars={'val/coco/segm_mAP': HistoryBuffer([0.5, last], [1, 1]),
                     'val/coco/segm_mAP_50': HistoryBuffer([0.5], [1])}))
    with caplog.at_level(logging.INFO, 'ended'):
        after_training.report_on_training(runner, Config(dict(
            work_dir=str(tmp_path), test_dataloader=dict(dataset=dict(
                type='CocoDataset', ann_file='/d/a.json', data_prefix=dict(img='/d/my images'))))))
    line, = caplog.messages
    assert line.startswith('Report: report.html')
    assert ('of the last validation. That of best_coco_segm_mAP_iter_' in line) is said
    assert line.endswith(f': lordre test {tmp_path} --json-out best && lordre report '
                         "best.segm.json --ann /d/a.json --images '/d/my images'") is said


@pytest.mark.linux
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_report_is_made(number, monkeypatch, tmp_path):
    work = tmp_path / 'my work'
    monkeypatch.setattr(after_training, '_facts', lambda runner, cfg: {})
    monkeypatch.setattr(after_training, 'class_names_of', lambda cfg: ())
    monkeypatch.setattr(after_training, 'write_report',
                        lambda folder, found: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stop:
        after_training.report_on_training(None, Config(dict(work_dir=str(work))))
    said = (f"interrupted: the training has ended and is saved in {work}, without a report: lordre "
            f"report '{work}'")
    assert str(stop.value) == said and stop.value.code == 128 + number
    assert signal.getsignal(number) == before
    # one that came when nothing was left but to judge the last images
    hook, runner = InterruptHook(), SimpleNamespace(work_dir=str(work))
    hook.after_train(runner)
    hook.asked = number
    with pytest.raises(Interrupted) as stop:
        hook.after_train(runner)
    assert str(stop.value) == said and stop.value.code == 128 + number
