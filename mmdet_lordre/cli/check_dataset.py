"""``lordre check-dataset``, which is ``lordre check``."""
from .check import main

__all__ = ['main']
