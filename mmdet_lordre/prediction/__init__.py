"""From pictures to results that other programs can use.

A source (:mod:`.sources`) yields pictures, the stream (:mod:`.stream`) turns each into a
:class:`~.result.Result`, and writers (:mod:`.writers`) make files of it.
"""
from .tiled_loops import TiledTestLoop, TiledValLoop
from .whole_pictures import WarnOfWholePictures

__all__ = ['TiledTestLoop', 'TiledValLoop', 'WarnOfWholePictures']
