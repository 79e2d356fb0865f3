"""tools/export_onnx.py and the example that runs its files."""
import json
import os
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np
import onnx
import pytest
import torch
from mmdet.apis import inference_detector
from mmengine.config import Config

from mmdet_lordre.cli.export_onnx import main as export
from mmdet_lordre.errors import UserError
from mmdet_lordre.models import build_model
from mmdet_lordre.polarmask import contours_to_bitmaps

from ..deployment.models import build, polarmask
from .tiny import ROOT, make_coco, write_config

EXAMPLE = ROOT / 'docs/examples/onnx_inference.py'
CLASSES = ('dot', 'box', 'bar')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Configs, checkpoints and images of a Lordre and a PolarMask."""
    folder = tmp_path_factory.mktemp('export')
    make_coco(folder, 'val', 'val.json', count=3)
    found = dict(image=str(folder / 'val/02.png'))
    lordre = ("model['mask_head'].update(num_classes=3)\n"
              "model['test_cfg'].update(score_thr=0.2)\n")
    resize = ("test_pipeline[1] = dict(type='Resize', scale=(128, 96), keep_ratio=True)\n"
              "for loader in (val_dataloader, test_dataloader):\n"
              "    loader['dataset'].update(pipeline=test_pipeline, "
              f"metainfo=dict(classes={CLASSES}))\n")
    polar = f'model = {polarmask()!r}\n' + (
        "model['data_preprocessor'] = dict(type='DetDataPreprocessor', mean=[100.0] * 3, "
        'std=[50.0] * 3, pad_size_divisor=32)\n')
    for name, lines in (('lordre', lordre + resize), ('polarmask', polar + resize)):
        config = write_config(folder / f'{name}.py', lines)
        model = build(Config.fromfile(config).model)
        checkpoint = str(folder / f'{name}.pth')
        torch.save(dict(state_dict=model.state_dict(), meta=dict(
            dataset_meta=dict(classes=CLASSES))), checkpoint)
        found[name] = (config, checkpoint)
    return found


def instances_of(text):
    """(label, score, pixels) of each line that the example prints."""
    return [(name, float(score), int(pixels)) for name, score, pixels in
            re.findall(r'^(\w+) ([\d.]+) (\d+) pixels$', text, re.MULTILINE)]


@pytest.mark.parametrize('family', ['lordre', 'polarmask'])
def test_the_script_and_the_example(family, files, run_script, tmp_path, capsys):
    """From a checkpoint to a picture that the example draws without torch."""
    config, checkpoint = files[family]
    out = tmp_path / 'sub/model.onnx'
    asked = [config, checkpoint, str(out), '--dynamic', '--end-to-end', '--probabilities',
             '--image', files['image']]
    if family == 'lordre':
        done = run_script('export_onnx.py', *asked)
        assert done.returncode == 0, done.stderr
        said = done.stdout
    else:
        export(asked)
        said = capsys.readouterr().out
    assert re.search(r'3 sizes: [1-9]\d* detections agree', said), said
    how = json.loads({prop.key: prop.value for prop in onnx.load(out).metadata_props}[
        'mmdet_lordre'])
    assert how['classes'] == list(CLASSES) and how['scale'] == [128, 96]

    blocker = "import sys; sys.modules['torch'] = sys.modules['mmdet'] = None; "
    done = subprocess.run(
        [sys.executable, '-c', f'{blocker}import runpy; sys.argv = sys.argv[1:]; '
         "runpy.run_path(sys.argv[0], run_name='__main__')",
         EXAMPLE, out, files['image'], tmp_path / 'drawn.png'],
        capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = instances_of(done.stdout)
    drawn = cv2.imread(str(tmp_path / 'drawn.png'))
    assert found and (drawn != cv2.imread(files['image'])).any()

    model = build_model(config, checkpoint, 'cpu')
    expected = inference_detector(model, files['image']).pred_instances
    kept = expected.scores > 0.3
    masks = np.asarray(expected.masks)[kept.numpy()]
    expected = sorted(zip([CLASSES[i] for i in expected.labels[kept]],
                          expected.scores[kept].tolist(), masks.sum((1, 2)).tolist()))
    assert len(found) == len(expected)
    for a, b in zip(sorted(found), expected):
        assert a[0] == b[0] and a[1] == pytest.approx(b[1], abs=5e-3)
        assert abs(a[2] - b[2]) <= 3 + 0.02 * b[2]


def test_fixed_size_and_the_head_alone(files, tmp_path, capsys):
    out = str(tmp_path / 'm.onnx')
    export([*files['lordre'], out, '--shape', '64', '96'])
    text = capsys.readouterr().out
    assert 'input 1 x 3 x 64 x 96' in text and 'class_logits 1x6x3' in text
    assert export([*files['lordre'], out, '--shape', '64', '96', '--fp16', '--end-to-end',
                   '--image', files['image'], '--overwrite']).matched > 0


def test_a_work_folder_alone(files, tmp_path, capsys):
    """As ``lordre train --auto`` leaves it; options may stand between the names."""
    work = tmp_path / 'work'
    work.mkdir()
    config, checkpoint = files['lordre']
    shutil.copy(checkpoint, work / 'iter_7.pth')
    shutil.copy(config, work / 'lordre.py')
    export([str(work), '--shape', '64', '96', str(tmp_path / 'm.onnx')])
    assert 'input 1 x 3 x 64 x 96' in capsys.readouterr().out
    with pytest.raises(UserError, match='required: out'):
        export([str(work)])


@pytest.mark.parametrize('fill', ['opencv', 'rounded'])
def test_the_example_clears_holes(fill, monkeypatch):
    """As PyTorch does, at another size than that of the input."""
    monkeypatch.setattr('sys.path', [os.path.dirname(EXAMPLE), *sys.path])
    from onnx_inference import masks_of
    angle = np.arange(36) * np.pi / 18
    around = np.stack((np.sin(angle), np.cos(angle)), 1)
    lines = [np.stack([30 + 20 * around, 25 + 9 * around]), np.stack(
        [30 + 11 * around, np.full((36, 2), 25.)])]  # the second one has none
    contours, holes = (line.astype(np.float32) for line in lines)
    scale = np.float32([90 / 64, 160 / 80])
    wanted = contours_to_bitmaps(torch.from_numpy(contours * scale), (160, 90),
                                 fill, (scale / 2).tolist(),
                                 torch.from_numpy(holes * scale)).numpy()
    outputs = dict(contours=contours[None], holes=holes[None])
    for i in range(2):
        mask = masks_of(outputs, i, (80, 64), (160, 90), dict(fill=fill))
        np.testing.assert_array_equal(mask, wanted[i])
    assert wanted[1].any() and not wanted[0][60, 42]


def test_mistakes_of_the_example(files, tmp_path, monkeypatch):
    """In one line, too: the example is copied."""
    monkeypatch.setattr('sys.path', [os.path.dirname(EXAMPLE), *sys.path])
    from onnx_inference import main
    onnx_file = tmp_path / 'head.onnx'
    export([*files['lordre'], str(onnx_file), '--shape', '64', '96'])
    (tmp_path / 'text.onnx').write_text('no model')
    for model, said in ((onnx_file.name, 'no end-to-end model'), ('gone.onnx', 'no such file'),
                        ('text.onnx', 'no ONNX file')):
        with pytest.raises(SystemExit, match=said):
            main(str(tmp_path / model), files['image'], str(tmp_path / 'o.png'))
    end_to_end = str(tmp_path / 'm.onnx')
    export([*files['lordre'], end_to_end, '--shape', '64', '96', '--end-to-end'])
    with pytest.raises(SystemExit, match=r'gone\.png: no such image'):
        main(end_to_end, 'gone.png', str(tmp_path / 'o.png'))
    with pytest.raises(SystemExit, match=r'o\.txt: give the name of a picture'):
        main(end_to_end, files['image'], str(tmp_path / 'o.txt'))


def test_mistakes(files, tmp_path, error_line, monkeypatch):
    out = tmp_path / 'm.onnx'
    line = error_line(export, *files['lordre'], out, '--shape', 50, 96)
    assert 'multiples of 32' in line
    line = error_line(export, *files['lordre'], out, '--image', 'gone.png', '--end-to-end')
    assert 'gone.png' in line and not out.exists()
    assert 'must end in .onnx' in error_line(export, *files['lordre'], tmp_path / 'm.txt')
    line = error_line(export, *files['polarmask'], out, '--cfg-options',
                      'model.test_cfg.nms.type=soft_nms')
    assert 'soft_nms' in line
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    line = error_line(export, *files['lordre'], out)
    assert "pip install 'mmdet_lordre[onnx]'" in line
