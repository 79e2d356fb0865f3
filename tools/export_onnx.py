"""Write a model as an ONNX file: python tools/export_onnx.py CONFIG CHECKPOINT OUT.onnx."""
import mmdet_lordre.runtime as runtime
from mmdet_lordre.runtime.export import export

if __name__ == '__main__':
    runtime.one_line_errors(export)()
