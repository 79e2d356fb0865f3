"""Several processes, also on two machines, learn and test what one process does."""
import os
import subprocess
import sys

import pytest
import torch

from mmdet_lordre.checkpoints.safe_load import read_checkpoint
from mmdet_lordre.cli.test import main as run_test
from mmdet_lordre.cli.train import main as train

from ..cli.tiny import ROOT, free_port, make_coco, read_json, write_json
from ..on_device import several_processes
from .families import FAMILIES, write_family

pytestmark = several_processes


def launch(script, first, processes, arguments, nodes=1):
    """Start tools/dist_*.sh once for each node; returns their (status, stdout, stderr)."""
    port, running = free_port(), []
    for rank in range(nodes):
        env = dict(os.environ, OMP_NUM_THREADS='1', PYTHON=sys.executable, PORT=port,
                   NNODES=str(nodes), NODE_RANK=str(rank), MASTER_ADDR='127.0.0.1',
                   PYTHONPATH=str(ROOT))
        running.append(subprocess.Popen(
            [str(ROOT / 'tools' / script), *map(str, first), str(processes),
             *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env))
    ended = []
    for process in running:
        out, err = process.communicate(timeout=600)
        ended.append((process.returncode, out, err))
    return ended


def without_batch_norm(path, family, **options):
    """Statistics of a process's own images are the one thing that processes do not share."""
    options = dict(model__backbone__norm_eval=True, train_dataloader__batch_size=4,
                   optim_wrapper__optimizer=dict(_delete_=True, type='SGD', lr=0.01,
                                                 momentum=0.9)) | options
    if family == 'lordre':
        options['model__mask_head__norm_cfg'] = None
    return write_family(path, family, augment=True, **options)


def dataset(folder):
    """Twelve images; two of every batch of four are on the first rank, one of them empty."""
    ann = make_coco(folder, 'train', 'train.json', count=12)
    data = read_json(ann)
    gone = {image['id'] for image in data['images'][::2]}
    data['annotations'] = [a for a in data['annotations'] if a['image_id'] not in gone]
    write_json(ann, data)
    make_coco(folder, 'val', 'val.json', count=5, seed=1)
    return ['--train-ann', f'{folder}/train.json', '--val-ann', f'{folder}/val.json',
            '--seed', '1']


def check_equal(folder, family, processes, nodes):
    own = dataset(folder)
    sampler = dict(train_dataloader__sampler=dict(type='DefaultSampler', shuffle=False))
    one = train([without_batch_norm(folder / 'one.py', family, **sampler), *own,
                 '--work-dir', f'{folder}/one']).model.state_dict()
    config = without_batch_norm(folder / 'many.py', family, **sampler,
                                train_dataloader__batch_size=4 // (processes * nodes))
    ended = launch('dist_train.sh', [config], processes,
                   [*own, '--work-dir', folder / 'many'], nodes)
    assert [status for status, _, _ in ended] == [0] * nodes, ended[0][2] + ended[-1][2]
    many = read_checkpoint(folder / 'many' / 'iter_8.pth')['state_dict']
    start = train([without_batch_norm(folder / 'start.py', family, **sampler,
                                      optim_wrapper__optimizer__lr=0.0), *own,
                   '--work-dir', f'{folder}/start']).model.state_dict()
    for name, value in one.items():
        # Against how far the training went, not against the size of the weights. Rounding grows:
        # half a last bit of the weights at the start is 5e-6 after these eight steps (AggMask).
        moved = (value.double() - start[name].double()).abs().max().item()
        differ = (value.double() - many[name].double()).abs().max().item()
        assert differ <= 1e-2 * moved + 1e-5, (name, differ, moved)
    return config, folder / 'many' / 'iter_8.pth'


def check_test(folder, config, checkpoint, processes, nodes):
    """Five images on two or more processes: each counts once."""
    # one image at a time: convolutions of other batches round in another way
    common = ['--ann', f'{folder}/val.json', '--eval', 'segm', '--cfg-options',
              'test_dataloader.batch_size=1']
    ended = launch('dist_test.sh', [config, checkpoint], processes,
                   ['--json-out', folder / 'n', '--work-dir', folder / 'tn', *common], nodes)
    assert [status for status, _, _ in ended] == [0] * nodes, ended[0][2]
    figures = run_test([config, str(checkpoint), '--json-out', f'{folder}/1',
                        '--work-dir', f'{folder}/t1', *common])
    many, one = (sorted(read_json(folder / f'{name}.segm.json'),
                        key=lambda e: (e['image_id'], -e['score'], e['category_id']))
                 for name in 'n1')
    assert len(many) == len(one) and {e['image_id'] for e in one} <= set(range(100, 105))
    assert many == one
    assert f'coco/segm_mAP: {figures["coco/segm_mAP"]:.4f}' in ended[0][1]


def test_two_machines_like_one_process(tmp_path):
    """Every image of the first machine has no instances."""
    check_equal(tmp_path, 'solov2', processes=1, nodes=2)


@pytest.mark.long
@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('processes, nodes', [(2, 1), (1, 2), (2, 2)])
def test_every_family(tmp_path, family, processes, nodes):
    config, checkpoint = check_equal(tmp_path, family, processes, nodes)
    check_test(tmp_path, config, checkpoint, processes, nodes)


@pytest.mark.long
@pytest.mark.parametrize('family', FAMILIES)
def test_nan_in_one_process_stops_all(tmp_path, family):
    own = dataset(tmp_path)
    config = write_family(
        tmp_path / 'config.py', family, custom_imports=dict(
            imports=['mmdet_lordre', 'tests.reliability.poison']),
        custom_hooks=[dict(type='PoisonHook', iterations=[4], rank=1)])
    (status, _, err), = launch('dist_train.sh', [config], 2, [*own, '--work-dir', tmp_path / 'w'])
    assert status == 1
    assert 'error: iteration 4: ' in err and 'is nan (images 1' in err
    saved = read_checkpoint(tmp_path / 'w' / 'before_nonfinite_iter_4.pth')
    assert saved['meta']['iter'] == 3
    assert all(bool(torch.isfinite(v).all()) for v in saved['state_dict'].values())
    # and left out by all when that is asked for
    (status, _, err), = launch('dist_train.sh', [config], 2, [
        *own, '--work-dir', tmp_path / 'w2', '--skip-nonfinite', 1])
    assert status == 0, err
    assert read_checkpoint(tmp_path / 'w2' / 'iter_8.pth')['meta']['iter'] == 8


@pytest.mark.long
@pytest.mark.parametrize('nodes', [1, 2])
def test_one_process_dying_ends_the_job(tmp_path, nodes):
    own = dataset(tmp_path)
    config = write_family(
        tmp_path / 'config.py', 'lordre', custom_imports=dict(
            imports=['mmdet_lordre', 'tests.reliability.poison']),
        custom_hooks=[dict(type='DeathHook', iteration=4, rank=1)])
    ended = launch('dist_train.sh', [config], 2 // nodes, [*own, '--work-dir', tmp_path / 'w'],
                   nodes)
    assert all(status for status, _, _ in ended)
    assert 'exitcode  : 7' in ended[-1][2]
    assert read_checkpoint(tmp_path / 'w' / 'iter_2.pth')['meta']['iter'] == 2


@pytest.mark.long
def test_bad_annotations_are_left_out_by_all(tmp_path):
    """The first process looks at the files, all of them read what it found to be good."""
    own = dataset(tmp_path)
    data = read_json(tmp_path / 'train.json')
    data['annotations'][0]['segmentation'] = [[1, 2, 3, 4]]
    (tmp_path / 'train' / '03.png').unlink()
    write_json(tmp_path / 'train.json', data)
    config = write_family(tmp_path / 'config.py', 'lordre', train_dataloader__batch_size=2)
    (status, out, err), = launch('dist_train.sh', [config], 2, [
        *own, '--train-images', tmp_path / 'train', '--work-dir', tmp_path / 'w', '--skip-bad'])
    assert status == 0, err
    assert out.count('left out: ') == 2
    clean = read_json(tmp_path / 'w' / 'clean' / 'train.json')
    assert len(clean['images']) == 11 and len(clean['annotations']) < len(data['annotations'])
