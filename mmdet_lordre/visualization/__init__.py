from . import basic_modes, neighbors, rays
from .drawing import draw_results
from .modes import PICTURE_MODES, PictureMode, picture_mode
from .palette import class_palette
from .visualizer import MaskVisualizer

__all__ = ['PICTURE_MODES', 'MaskVisualizer', 'PictureMode', 'basic_modes', 'class_palette',
           'draw_results', 'neighbors', 'picture_mode', 'rays']
