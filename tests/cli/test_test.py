"""tools/test.py: metrics, files, pictures, test data without annotations."""
import os
import pickle
import shutil

import cv2
import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.cli.predict import main as predict
from mmdet_lordre.cli.test import main as run_test

from .tiny import HEIGHT, NAMES, WIDTH, read_json, write_json


@pytest.fixture
def val(data):
    return ['--ann', f'{data}/val.json']


def test_everything_by_the_script(run_script, trained, val, data, tmp_path):
    """One run writes pickle, JSON and pictures, and evaluates masks and boxes."""
    done = run_script('test.py', *trained, *val, '--eval', 'segm', 'bbox', '--classwise',
                      '--out', tmp_path / 'r.pkl', '--json-out', tmp_path / 'sub' / 'r',
                      '--show-dir', tmp_path / 'show', '--score-thr', '0', '--fp16',
                      '--work-dir', tmp_path / 'w')
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr
    assert 'segm  AP ' in done.stdout and 'bbox  AP ' in done.stdout
    assert all(f'| {name}' in done.stdout for name in NAMES)  # the table of classes
    results = pickle.loads((tmp_path / 'r.pkl').read_bytes())
    assert len(results) == 5
    for image in results:
        found = image['pred_instances']
        assert len(found['masks']) == len(found['scores']) > 0
        assert found['masks'][0]['size'] == [HEIGHT, WIDTH]
    entries = read_json(tmp_path / 'sub' / 'r.segm.json')
    assert len(entries) == sum(len(image['pred_instances']['scores']) for image in results)
    pictures = sorted((tmp_path / 'show').iterdir())
    assert [p.name for p in pictures] == [f'{i:02d}.png' for i in range(5)]
    plain = cv2.imread(f'{data}/val/00.png')
    drawn = cv2.imread(str(pictures[0]))
    factor = drawn.shape[0] // plain.shape[0]
    enlarged = cv2.resize(plain, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    # names may stand below
    assert (drawn[:len(enlarged)] != enlarged).any(axis=2).any()


def test_the_figures_are_those_of_pycocotools(trained, val, data, tmp_path):
    """On the JSON that was written, by COCO's own evaluator."""
    figures = run_test([*trained, *val, '--eval', 'segm', 'bbox', '--json-out',
                        f'{tmp_path}/r', '--work-dir', f'{tmp_path}/w'])
    for kind in ('segm', 'bbox'):
        truth = COCO(f'{data}/val.json')
        entries = read_json(tmp_path / f'r.{kind}.json')
        if kind == 'segm':
            for entry in entries:
                del entry['bbox']
        evaluator = COCOeval(truth, truth.loadRes(entries), kind)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
        names = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
        assert [figures[f'coco/{kind}_{name}'] for name in names] == pytest.approx(
            evaluator.stats[:6].tolist(), abs=1e-6)


def test_images_without_annotations(trained, data, tmp_path, capsys, error_line):
    info = read_json(data / 'val.json')
    del info['annotations']
    ann = write_json(tmp_path / 'image_info.json', info)
    images = ['--ann', ann, '--images', f'{data}/val', '--work-dir', f'{tmp_path}/w']
    figures = run_test([*trained, *images, '--json-out', f'{tmp_path}/up.json'])
    assert not [name for name in figures if 'AP' in name]
    entries = read_json(tmp_path / 'up.segm.json')
    assert {e['image_id'] for e in entries} == {image['id'] for image in info['images']}
    assert set(entries[0]) == {'image_id', 'category_id', 'bbox', 'score', 'segmentation'}
    assert COCO(f'{data}/val.json').loadRes(entries)  # COCO reads it
    capsys.readouterr()
    assert 'no annotations' in error_line(run_test, *trained, *images, '--eval', 'segm')
    assert '--json-out' in error_line(run_test, *trained, *images)


def test_json_without_eval_does_not_evaluate(trained, val, tmp_path):
    figures = run_test([*trained, *val, '--json-out', f'{tmp_path}/r', '--work-dir',
                        f'{tmp_path}/w'])
    assert not [name for name in figures if 'AP' in name]
    assert (tmp_path / 'r.segm.json').exists() and (tmp_path / 'r.bbox.json').exists()


def test_a_work_folder_that_nothing_may_be_written_to(trained, val, error_line, monkeypatch):
    """Of somebody else, say: what to do stands there, before anything is computed."""
    monkeypatch.setattr('os.access', lambda path, mode: mode != os.W_OK)
    line = error_line(run_test, *trained, *val, '--eval', 'segm')
    assert 'give another folder with --work-dir' in line and os.sep in line


def test_the_metric_of_mmdet_is_replaced(trained, val, tmp_path):
    """A config that names CocoMetric works with --eval just the same."""
    figures = run_test([*trained, *val, '--eval', 'segm', '--work-dir', f'{tmp_path}/w',
                        '--cfg-options', 'test_evaluator.type=CocoMetric'])
    assert set(figures) >= {'coco/segm_mAP', 'coco/segm_mAP_l'}


def test_nothing_detected_is_zero(trained, val, tmp_path):
    figures = run_test([*trained, *val, '--eval', 'segm', '--work-dir', f'{tmp_path}/w',
                        '--cfg-options', 'model.test_cfg.score_thr=1.0'])
    assert figures['coco/segm_mAP'] == figures['coco/segm_mAP_50'] == 0


def test_half_precision_is_near(trained, val, tmp_path):
    scores = []
    for extra in ([], ['--fp16'], ['--bf16']):
        run_test([*trained, *val, '--out', f'{tmp_path}/r.pkl', '--work-dir', f'{tmp_path}/w',
                  '--overwrite', *extra])
        results = pickle.loads((tmp_path / 'r.pkl').read_bytes())
        scores.append(torch.cat([r['pred_instances']['scores'].float().sort().values
                                 for r in results]).numpy())
    assert torch.get_autocast_dtype('cuda') == torch.float16  # what a program computes next
    for half in scores[1:]:
        assert not np.array_equal(scores[0], half)  # it does run in another precision
        np.testing.assert_allclose(scores[0], half, atol=0.05)


def test_a_checkpoint_that_does_not_fit(trained, val, error_line, tmp_path):
    line = error_line(run_test, *trained, *val, '--cfg-options',
                      'model.mask_head.num_queries=4')
    assert 'does not fit' in line and 'iam_conv.weight' in line
    # a checkpoint that does not name its classes, in a config of another number
    bare = tmp_path / 'bare.pth'
    torch.save(dict(state_dict=read_checkpoint(trained[1])['state_dict']), bare)
    line = error_line(run_test, trained[0], bare, *val)
    assert 'has 3 classes' in line and 'has 80' in line


def test_pictures_of_one_name_in_two_folders(trained, data, tmp_path):
    """Neither is written over the other."""
    images = []
    for number, folder in enumerate(('a', 'b')):
        (tmp_path / 'images' / folder).mkdir(parents=True)
        shutil.copy(data / 'val' / f'{number:02d}.png', tmp_path / 'images' / folder / 'x.png')
        images.append(dict(id=number, file_name=f'{folder}/x.png', width=WIDTH, height=HEIGHT))
    ann = tmp_path / 'two.json'
    ann = write_json(ann, dict(images=images, categories=[
        dict(id=i, name=name) for i, name in enumerate(NAMES, 1)]))
    run_test([*trained, '--ann', str(ann), '--images', str(tmp_path / 'images'),
              '--show-dir', str(tmp_path / 'show'), '--score-thr', '0',
              '--work-dir', str(tmp_path / 'w')])
    drawn = sorted(str(path.relative_to(tmp_path / 'show'))
                   for path in (tmp_path / 'show').rglob('*.png'))
    assert drawn == ['a/x.png', 'b/x.png']


def test_images_of_annotations_that_are_not_given(trained, data, error_line):
    line = error_line(run_test, *trained, '--images', f'{data}/val')
    assert f'--images {data}/val is for --ann, which is not given' in line


def test_a_network_that_gives_nan_is_named(trained, val, data, tmp_path, capsys, error_line):
    """Finite weights, whose outputs are not; figures alone would be 0."""
    config, path = trained
    checkpoint = read_checkpoint(str(path))
    weights = checkpoint['state_dict']
    name = next(name for name, values in weights.items() if values.ndim == 4)
    weights[name] = weights[name].sign() * 1e38
    torch.save(checkpoint, tmp_path / 'overflow.pth')
    model = [str(config), f'{tmp_path}/overflow.pth']
    run_test([*model, *val, '--work-dir', f'{tmp_path}/w'])
    lines = [line for line in capsys.readouterr().out.splitlines() if 'NaN' in line]
    assert len(lines) == 1 and '/00.png' in lines[0] and 'of no use' in lines[0]
    line = error_line(predict, val[1], '--images', f'{data}/val', '--config', model[0], '--model',
                      model[1], '--out', tmp_path / 'out')
    assert 'none of the 5 pictures could be predicted' in line and 'gives NaN for it' in line
