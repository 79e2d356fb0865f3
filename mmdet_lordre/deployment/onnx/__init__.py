"""ONNX models of all four families.

``operators`` and ``graph`` hold what any graph is built from, ``grid`` what SOLOv2 and AggMask
share, and each method has a module of its own; ``model`` puts a detector together, ``files``
writes it, ``check`` compares it with PyTorch.
"""
from .files import export_onnx
from .model import ExportedModel

__all__ = ['ExportedModel', 'export_onnx']
