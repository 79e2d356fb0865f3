"""Every lasting change that this package makes to somebody else's module, in one place.

Only the package's ``__init__`` imports this. Importing makes the changes of :data:`ON_IMPORT`,
which add an entry each and change nothing that was there; the rest is made by :func:`secure` alone.
"""
from __future__ import annotations

from typing import NamedTuple

import mmengine.runner.checkpoint as mmengine_checkpoint
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio.handlers import yaml_handler
from mmengine.runner.checkpoint import CheckpointLoader

from . import registry  # noqa: F401 - what mmengine builds in this package's scope
from .checkpoints.safe_load import data_only_names, load_from_local, register_safe_globals
from .config.plain_yaml import PlainYAML


class Change(NamedTuple):
    """What is changed, by its dotted name, and the versions that it is known in."""

    name: str
    versions: str
    why: str


#: Entries added by importing the package.
ON_IMPORT = (
    Change('torch.serialization.add_safe_globals', 'torch 2.6 to 2.13',
           'mmengine can read the checkpoints that it writes, whose log history torch refuses'),
    Change('mmengine.config.utils.MODULE2PACKAGE', 'mmengine 0.10.0 to 0.10.12',
           'configs are found as mmdet_lordre::folder/name.py, and models by name in the scope '
           'mmdet_lordre'),
)
#: What :func:`secure` puts in place of what was there.
BY_SECURE = (
    Change('mmengine.runner.checkpoint.CheckpointLoader._schemes', 'mmengine 0.10.0 to 0.10.12',
           'local checkpoints have limits of size, and bring no text of a config to run'),
    Change('mmengine.runner.checkpoint.torch', 'mmengine 0.10.0 to 0.10.12',
           'checkpoints from anywhere are read with weights_only=True'),
    Change('mmengine.runner.checkpoint.load_url', 'mmengine 0.10.0 to 0.10.12',
           'so are those that are downloaded'),
    Change('mmengine.fileio.handlers.yaml_handler.Loader', 'mmengine 0.10.0 to 0.10.12',
           'YAML brings no Python objects'),
)


def apply() -> None:
    """Make the changes of :data:`ON_IMPORT`; a second call changes nothing.

    mmengine knows the packages of a fixed table, and asks for the distribution under the name in
    it. In an editable installation the distribution's folder is not the package's; under the name
    of a module, for which there is no distribution, mmengine takes the folder where that lies.
    """
    register_safe_globals()
    MODULE2PACKAGE.setdefault('mmdet_lordre', __name__)


def secure() -> None:
    """Make mmengine read checkpoints and YAML as data only, in the whole process.

    The commands call this, and so can a program that hands files of others to mmengine or mmdet.
    What :mod:`mmdet_lordre` reads itself is read so anyway. Checkpoints with Python objects of
    their own are refused from then on, whoever reads them through mmengine, unless the program
    allows their classes by ``torch.serialization.add_safe_globals``.
    """
    register_safe_globals()
    CheckpointLoader.register_scheme(prefixes='', loader=load_from_local, force=True)
    vars(mmengine_checkpoint).update(data_only_names())
    yaml_handler.Loader = PlainYAML
