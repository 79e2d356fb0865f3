"""The console is readable, the log file complete."""
import io
import logging

import pytest

from mmdet_lordre.training.console import readable


@pytest.fixture
def logger(tmp_path):
    logger = logging.Logger('test')
    stream = io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    file = logging.FileHandler(tmp_path / 'log')
    logger.addHandler(file)
    readable(readable(logger))  # twice is once
    yield logger, stream, tmp_path / 'log'
    file.close()


def test_long_messages_go_to_the_file(logger):
    logger, stream, file = logger
    logger.info('Config:\n' + 'x = 1\n' * 500)
    logger.info('\n' + '-' * 60 + '\nSystem environment:\n    python: 3')
    logger.info('Hooks will be executed in the following order:\nbefore_run')
    assert stream.getvalue() == ''
    assert len(file.read_text().splitlines()) > 500


def test_an_iteration_is_a_short_line(logger):
    logger, stream, file = logger
    line = ('Epoch(train)  [1][ 50/100]  base_lr: 1.0000e-03 lr: 1.0000e-03  eta: 0:00:10  '
            'time: 0.1000  data_time: 0.0100  loss: 2.0000')
    logger.info(line)
    assert stream.getvalue()[10:] == (
        'Epoch(train)  [1][ 50/100]  lr: 1.0000e-03  eta: 0:00:10  time: 0.1000  loss: 2.0000\n')
    assert file.read_text().strip() == line


def test_figures_of_classes_are_left_out_whatever_their_names(logger):
    logger, stream, file = logger
    line = ('Epoch(val) [1][3/3]  coco/segm_mAP: 0.5000  coco/precision_precision: 0.1000  '
            "coco/a \"big\" dog's tail: x_precision: nan  coco/bird_precision: 0.2000  "
            'coco/segm_mAP_50: 0.7000  data_time: 0.0100  time: 0.1000')
    logger.info(line)
    assert stream.getvalue()[10:] == (
        'Epoch(val) [1][3/3]  coco/segm_mAP: 0.5000  coco/segm_mAP_50: 0.7000  time: 0.1000\n')
    assert line in file.read_text()


def test_warnings_and_errors_are_marked(logger):
    logger, stream, _ = logger
    logger.warning('something')
    logger.error('Config:\nbroken')
    first, second, third = stream.getvalue().splitlines()
    assert first[10:] == 'warning: something' and second[10:] == 'error: Config:'
    assert third == 'broken'
