"""Runs that are killed and go on reach the same state, bit for bit."""
import json
import os
import subprocess
import sys

import pytest

from ..cli.tiny import ROOT, make_coco
from .families import FAMILIES, write_family

pytestmark = pytest.mark.linux


def interrupt(folder, config, *points):
    """What tests/reliability/killing.py says of each point."""
    make_coco(folder, 'train', 'train.json', count=12)
    make_coco(folder, 'val', 'val.json', count=4, seed=1)
    done = subprocess.run(
        [sys.executable, '-m', 'tests.reliability.killing', config, str(folder), *points],
        capture_output=True, text=True, cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS='1'))
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"point')]
    assert [entry['point'] for entry in found] == list(points)
    return found, (folder / 'log.txt').read_text()


def test_killed_cut_and_stopped(tmp_path):
    """Averaged weights, Muon, random augmentation; iterations 2, 4, 6 and 8 have checkpoints."""
    config = write_family(tmp_path / 'config.py', 'lordre', augment=True, ema=True, best=True,
                          optim_wrapper__optimizer=dict(_delete_=True, type='MuonWithAdamW',
                                                        lr=1e-3))
    found, log = interrupt(tmp_path, config, 'writing:3', 'cut:6', 'stop:5', 'validating:1',
                           'validating:4', 'validated:2')
    for entry in found:
        assert entry['interrupted'] == 1 and not entry['differ'] and not entry['unfinished'], entry
    # half a file was written over nothing: what is left is the checkpoint before it
    assert f" tensors from {tmp_path}/writing_3/iter_2.pth" in log
    assert f'{tmp_path}/cut_6/iter_4.pth is not a complete checkpoint' in log
    assert 'going back to the one before' in log
    assert f'tensors from {tmp_path}/cut_6/iter_2.pth' in log
    assert f'saved as {tmp_path}/stop_5/iter_5.pth: continue with --resume' in log
    assert 'Traceback' not in log


@pytest.mark.long
@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('how', ['iterations', 'epochs', 'workers'])
def test_every_point_of_every_family(tmp_path, family, how):
    options = dict(iterations={}, epochs=dict(epochs=3),
                   workers=dict(train_dataloader__num_workers=2,
                                train_dataloader__persistent_workers=True))[how]
    config = write_family(tmp_path / 'config.py', family, augment=True, ema=True, best=True,
                          **options)
    points = [f'step:{n}' for n in range(3, 9)] + ['stop:3', 'stop:6', 'stop:7']
    points += [f'{kind}:{n}' for kind in
               ('writing', 'naming', 'noting', 'validating', 'validated', 'pause')
               for n in (1, 2, 3)]
    points += ['cut:8'] + [f'random:{seed}' for seed in range(4)]
    found, _ = interrupt(tmp_path, config, *points)
    bad = [entry for entry in found if entry['differ'] or entry['unfinished']
           or (not entry['interrupted'] and not entry['point'].startswith('random'))]
    assert not bad
