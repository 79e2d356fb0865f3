"""``lordre make-shapes``."""
from ..datasets.shapes.command import main

__all__ = ['main']
