"""Annotations as people have them: many formats in, COCO annotations out, and back."""
from . import write_instances, write_labelme, write_yolo
from .coco_data import CocoData
from .opening import FORMATS, open_data

#: Functions that write a format.
WRITERS = {'yolo': write_yolo.write, 'labelme': write_labelme.write,
           'instance-png': write_instances.write}

__all__ = ['FORMATS', 'WRITERS', 'CocoData', 'open_data']
