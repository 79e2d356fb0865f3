"""Write a model as an ONNX file: python tools/export_onnx.py CONFIG CHECKPOINT OUT.onnx."""
from mmdet_lordre_command import run

if __name__ == '__main__':
    run('export-onnx')
