"""Instance segmentation for MMDetection 3: Lordre (SparseInst), SOLOv2, AggMask and PolarMask.

Importing the package registers everything with mmdet's registries.
"""
import importlib

__version__ = '0.1.0'

for _room in ('masks', 'lordre', 'grid', 'solov2', 'aggmask', 'polarmask', 'backbones',
              'checkpoints', 'evaluation', 'datasets', 'visualization', 'runtime'):
    try:
        importlib.import_module(f'{__name__}.{_room}')
    except ModuleNotFoundError as _error:
        if not str(_error.name).startswith(__name__):
            raise
