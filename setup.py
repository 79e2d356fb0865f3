"""Puts configs, tools and the model index into the package, where openmim and mmengine look.

Everything else about the build is in pyproject.toml.
"""
import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
NAMES = ('model-index.yml', 'configs', 'tools')
# tools that work on the checkout, and what Python leaves
LEFT_OUT = ('setup.sh', 'browser.sh', 'quickstart.py', 'make_model_zoo.py', '__pycache__', '*.pyc')


class BuildWithMim(build_py):
    """Adds ``mmdet_lordre/.mim``: copies, or links for an editable installation."""

    def run(self):
        super().run()
        if self.editable_mode:
            link(ROOT / 'mmdet_lordre' / '.mim')
        else:
            copy(Path(self.build_lib) / 'mmdet_lordre' / '.mim')


def copy(folder):
    # what an earlier build left would be packed too
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in NAMES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
        else:
            shutil.copy(ROOT / name, folder / name)


def link(folder):
    folder.mkdir(exist_ok=True)
    for name in NAMES:
        place = folder / name
        if place.is_symlink() or place.exists():
            continue
        try:
            place.symlink_to(Path('..', '..', name))
        except OSError:
            # Windows allows links to developers only; without them configs are found beside
            # the package, but not as mmdet_lordre::...
            if os.name != 'nt':
                raise


setup(cmdclass=dict(build_py=BuildWithMim))
