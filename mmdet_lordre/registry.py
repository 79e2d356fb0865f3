"""The scope ``mmdet_lordre`` of mmengine's registries.

Everything here is registered with mmdet's own registries, and what is looked up in these is found
in mmdet's. They are there because mmengine builds what comes from
``_base_ = 'mmdet_lordre::...'`` in the scope of that name. Only names that others may have taken
stand in them: ``mmdet_lordre.InstanceContextEncoder`` and ``mmdet_lordre.PVTv2``.
"""
import threading

import mmdet.registry
import mmengine.registry
from mmengine.registry import Registry

#: Held by a thread that reads configs or builds: the scope in which names are looked up, and what
#: is put in place of mmengine's readers for a while, are those of the whole process.
BUILDING = threading.RLock()

for _name, _root in list(vars(mmengine.registry).items()):
    if isinstance(_root, Registry):
        _parent = getattr(mmdet.registry, _name, _root)
        globals()[_name] = Registry(_parent.name, parent=_parent, scope='mmdet_lordre',
                                    locations=['mmdet_lordre'])
