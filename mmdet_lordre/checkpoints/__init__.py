"""Reading the published checkpoints of the original repositories."""
from . import grid_family, polarmask, published, sparseinst
from .convert import convert_file, convert_state_dict
from .formats import FORMATS, find_format
from .reading import read_published
from .rules import Conversion, ConversionError

__all__ = ['FORMATS', 'Conversion', 'ConversionError', 'convert_file', 'convert_state_dict',
           'find_format', 'grid_family', 'polarmask', 'published', 'read_published', 'sparseinst']
