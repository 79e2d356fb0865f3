"""Annotations as people have them: many formats in, COCO annotations out, and back."""
from .coco_data import CocoData
from .opening import FORMATS, open_data

__all__ = ['FORMATS', 'CocoData', 'open_data']
