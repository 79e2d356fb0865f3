"""The package as others get it: a wheel, installed and used away from the checkout.

The environment has the libraries of the one that runs the tests, and of this project the wheel
alone.
"""
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import venv
import zipfile
from pathlib import Path

import pytest

from mmdet_lordre import __version__
from mmdet_lordre.cli.train import parse_args
from tests.cli.tiny import make_coco

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('LICENSE', 'MANIFEST.in', 'README.md', 'configs', 'mmdet_lordre',
           'mmdet_lordre_command.py', 'model-index.yml', 'pyproject.toml', 'setup.py', 'tools')

# What somebody does in a folder of their own.
INFERENCE = '''
import sys, warnings
from pathlib import Path
warnings.simplefilter('ignore')
import cv2, numpy as np, torch
import mmdet_lordre
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmdet_lordre.checkpoints.verify import config_folder

name = 'lordre_r50_giam_8xb8-270k_coco'
Path('mine.py').write_text(f"""
_base_ = 'mmdet_lordre::lordre/{name}.py'
model = dict(mask_head=dict(num_queries=7), backbone=dict(init_cfg=None))
""")
cfg = Config.fromfile('mine.py')
assert cfg.model._scope_ == 'mmdet_lordre'
model = MODELS.build(cfg.model)
assert type(model) is mmdet_lordre.lordre.Lordre and model.mask_head.num_queries == 7

init_default_scope('mmdet')
model = MODELS.build(Config.fromfile(config_folder('lordre') / f'{name}.py').model)
torch.save(dict(state_dict=model.state_dict(), meta={}), 'weights.pth')
cv2.imwrite('picture.png', np.full((48, 64, 3), 90, np.uint8))
inferencer = DetInferencer(name, weights='weights.pth', device='cpu', scope='mmdet_lordre',
                           show_progress=False)
assert torch.equal(inferencer.model.mask_head.state_dict()['inst_branch.fc.weight'],
                   model.mask_head.state_dict()['inst_branch.fc.weight'])
found, = inferencer('picture.png', out_dir='', no_save_vis=True)['predictions']
assert set(found) >= {'scores', 'labels', 'masks'}

print('imported from', Path(mmdet_lordre.__file__).parent, sep='\\n')
print(*sorted({m.__file__ for m in list(sys.modules.values())
               if 'mmdet_lordre' in (getattr(m, '__file__', None) or '')}), sep='\\n')
'''

# A config of their own, on ours, for their own data.
TRAINING = '''
_base_ = 'mmdet_lordre::lordre/lordre_r18_giam_shapes.py'
model = dict(backbone=dict(base_channels=8, stem_channels=8),
             neck=dict(in_channels=(16, 32), out_channels=16),
             mask_head=dict(in_channels=16, channels=16, depth=1, num_queries=6))
train_cfg = dict(max_iters=2, val_interval=2)
train_dataloader = dict(batch_size=4)
val_dataloader = dict(batch_size=4)
test_dataloader = val_dataloader
'''


def run(*command, cwd, **options):
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True,
                          env=dict(env, OMP_NUM_THREADS='1'), timeout=600,
                          **options)
    assert done.returncode == 0, f'{done.stdout[-3000:]}\n{done.stderr[-3000:]}'
    return done.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp('wheel')
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / 'source' / name, symlinks=True,
                            ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        else:
            (folder / 'source').mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / 'source' / name)
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation',
        '--no-index', '-w', folder, folder / 'source', cwd=folder)
    return next(folder.glob('*.whl'))


@pytest.fixture(scope='module')
def python(wheel, tmp_path_factory):
    """Interpreter of an environment with the wheel."""
    folder = tmp_path_factory.mktemp('env')
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / 'bin' / 'python'
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-deps',
        '--no-index', wheel, cwd=folder)
    # A line of a .pth file is a place to import from; the .pth files that lie there, such as an
    # editable installation's, are not read. Where torch is another environment's, that comes last.
    site = next(folder.glob('lib/python*/site-packages'))
    places = [sysconfig.get_paths()['purelib'], *(place for place in sys.path
                                                  if place.endswith('-packages'))]
    # mmengine imports distutils, which Python has lost and setuptools brings by such a file
    shim = "import importlib.util as util; util.find_spec('_distutils_hack') and " \
           "__import__('_distutils_hack').add_shim()"
    (site / 'stack.pth').write_text('\n'.join([*dict.fromkeys(places), shim]) + '\n')
    return python


def test_what_is_in_the_wheel(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {path.relative_to(ROOT / 'configs').as_posix()
            for path in (ROOT / 'configs').rglob('*') if path.suffix in ('.py', '.yml', '.md')}
    assert {f'mmdet_lordre/.mim/configs/{name}' for name in ours} <= names
    assert {'mmdet_lordre/.mim/model-index.yml', 'mmdet_lordre/.mim/tools/train.py',
            'mmdet_lordre/.mim/tools/dist_train.sh'} <= names
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / 'mmdet_lordre').rglob('*')
            if path.suffix in ('.html', '.css', '.js')} <= names
    assert {name.split('/')[0].split('-')[0] for name in names} == {
        'mmdet_lordre', 'mmdet_lordre_command.py'}
    assert not [name for name in names if '__pycache__' in name or name.endswith('setup.sh')]


def test_models_by_name(python, tmp_path):
    lines = run(python, '-c', INFERENCE, cwd=tmp_path).splitlines()
    package, *files = lines[lines.index('imported from') + 1:]
    assert Path(package).is_relative_to(python.parents[1])
    assert len(files) > 40
    assert all(file.startswith(package) for file in files)


def test_the_program(python, tmp_path):
    assert run(python.parent / 'lordre', '--version', cwd=tmp_path) == f'lordre {__version__}\n'


def test_a_tool_that_does_not_import_the_package(python, tmp_path):
    script, = python.parents[1].rglob('mmdet_lordre/.mim/tools/make_shapes.py')
    run(python, script, 'shapes', '--train', 2, '--val', 1, '--size', 64, cwd=tmp_path)
    assert len(list((tmp_path / 'shapes' / 'train').iterdir())) == 2


def test_training_as_mim_does(python, tmp_path, capsys):
    """openmim runs the script that lies under .mim of the distribution's folder."""
    script, = run(python, '-c', textwrap.dedent('''
        from mmengine.utils import get_installed_path
        print(get_installed_path('mmdet_lordre') + '/.mim/tools/train.py')'''),
        cwd=tmp_path).splitlines()[-1:]
    make_coco(tmp_path, 'train', 'train.json', count=8)
    make_coco(tmp_path, 'val', 'val.json', count=3, seed=1)
    (tmp_path / 'mine.py').write_text(TRAINING)
    with pytest.raises(SystemExit):
        parse_args(['-h'])
    # openmim would then add it to the command, or --device
    assert '--gpus' not in capsys.readouterr().out
    run(python, script, 'mine.py', '--launcher', 'none', '--train-ann', 'train.json',
        '--val-ann', 'val.json', '--work-dir', 'work', cwd=tmp_path)
    assert (tmp_path / 'work' / 'iter_2.pth').is_file()
