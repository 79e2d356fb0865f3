"""Scalars of a training: nothing lost and nothing drawn twice across resumes."""
import json

import pytest

from mmdet_lordre.errors import UserError
from mmdet_lordre.reporting.page import run_charts
from mmdet_lordre.reporting.run_log import read_run


def start(folder, stamp, rows):
    """Write the scalars of one start, in both of mmengine's files."""
    place = folder / stamp / 'vis_data'
    place.mkdir(parents=True)
    text = ''.join(row if isinstance(row, str) else json.dumps(row) + '\n' for row in rows)
    (place / f'{stamp}.json').write_text(text)
    (place / 'scalars.json').write_text(text)


def iteration(step, loss, **more):
    return dict(lr=0.1, loss=loss, loss_mask=loss / 2, time=0.5, iter=step, step=step, **more)


def test_epochs_and_their_validations(tmp_path):
    start(tmp_path, '20260101_000000', [
        iteration(10, 5.0, epoch=1), iteration(20, 4.0, epoch=1),
        {'coco/segm_mAP': 0.1, 'data_time': 1, 'time': 2, 'step': 1},
        iteration(30, 3.0, epoch=2), iteration(40, 2.0, epoch=2),
        {'coco/segm_mAP': 0.2, 'step': 2}])
    log = read_run(tmp_path)
    assert log.training['loss'].step == [10, 20, 30, 40]
    assert log.training['loss'].value == [5, 4, 3, 2]
    assert log.validation['segm_mAP'].step == [20, 40] and set(log.validation) == {'segm_mAP'}
    assert log.last_step == 40 and log.seconds == 20 and log.rising() is None
    charts = run_charts(log)
    assert set(charts) == {'loss', 'parts', 'validation', 'lr'}


def test_a_resume_repeats_what_was_lost_and_drops_what_was_not_gone_on_from(tmp_path):
    start(tmp_path, '20260101_000000', [
        iteration(10, 5.0), {'coco/segm_mAP': 0.1, 'step': 10}, iteration(20, 4.0),
        {'coco/segm_mAP': 0.15, 'step': 20}, iteration(30, 9.0)])
    # gone on with from 20, whose validation is made again
    start(tmp_path, '20260101_010000', [
        {'coco/segm_mAP': 0.16, 'step': 20}, iteration(25, 3.5), iteration(35, 3.0),
        {'coco/segm_mAP': 0.3, 'step': 35}])
    start(tmp_path, '20260101_020000', [])  # stopped before anything was logged
    log = read_run(tmp_path)
    assert log.training['loss'].step == [10, 20, 25, 35]
    assert log.training['loss'].value == [5, 4, 3.5, 3]
    assert log.validation['segm_mAP'].step == [10, 20, 35]
    assert log.validation['segm_mAP'].value == [0.1, 0.16, 0.3]
    assert len(log.starts) == 3 and log.rising() is True


def test_validation_between_two_lines_of_the_log(tmp_path):
    start(tmp_path, '20260101_000000', [
        iteration(50, 5.0), {'coco/segm_mAP': 0.1, 'step': 75}, iteration(100, 4.0)])
    assert read_run(tmp_path).validation['segm_mAP'].step == [75]


def test_damaged_lines_and_foreign_values(tmp_path):
    start(tmp_path, '20260101_000000', [
        iteration(10, 5.0), '{"loss": 1, "it\n', '[1, 2]\n', '\x00\n',
        dict(iteration(20, float('nan')), name='<script>', flag=True), iteration(30, 1.0)])
    log = read_run(tmp_path)
    assert log.damaged == 3 and log.training['loss'].step == [10, 20, 30]
    assert 'name' not in log.training and 'flag' not in log.training
    assert 'M52 10h0M546 240h0' in run_charts(log)['loss']  # a gap where it is no number


def test_no_run(tmp_path):
    with pytest.raises(UserError, match='no scalars'):
        read_run(tmp_path)
