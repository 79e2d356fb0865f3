"""Data sets: ``shapes`` is made by ``tools/make_shapes.py`` and read as an ordinary CocoDataset.

Nothing is imported here, so that the generator can be used without torch and mmdet.
"""
