"""Writing ONNX files."""
import json
import os
import warnings

import torch
from torch import nn

from ...files import atomic_write, refuse_overwriting
from .model import ExportedModel
from .operators import DEFORMABLE_OPSET, exportable, has_deformable

#: The operator set of models without deformable convolution.
OPSET = 17
#: Under this key of the file's metadata stands, as JSON, how images are prepared.
METADATA_KEY = 'mmdet_lordre'


def export_onnx(model: nn.Module, path: str, size: tuple[int, int], dynamic: bool = False,
                half: bool = False, end_to_end: bool = True, binary: bool = True,
                metadata: dict | None = None, overwrite: bool = False) -> ExportedModel:
    """Write a detector as an ONNX file of standard operators.

    Args:
        model: A detector of one of the four families, on the CPU, in ``eval`` mode.
        path: The file; its folder is made.
        size: (height, width) of the input in pixels, multiples of what the model pads to.
        dynamic: Batch, height and width are free; otherwise one image of ``size``.
        half: See :class:`ExportedModel`.
        end_to_end: See :class:`ExportedModel`.
        binary: See :class:`ExportedModel`.
        metadata: Written into the file as JSON, for whoever prepares images.
        overwrite: Replace a file of that name.

    Returns:
        What was written, as a module.

    Raises:
        ImportError: The package ``onnx`` is missing.
        UserError: The file is there already.
        ValueError: See :class:`ExportedModel`.
    """
    import onnx

    refuse_overwriting([path], overwrite, option='overwrite=True')

    exported = ExportedModel(model, end_to_end, binary, half).eval()
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    axes = {name: {1: 'instances'} for name in exported.names} if end_to_end else {}
    if dynamic:
        axes['image'] = {0: 'batch', 2: 'height', 3: 'width'}
        for name in exported.names:
            axes.setdefault(name, {})[0] = 'batch'
        if 'masks' in exported.names:
            axes['masks'] |= {2: 'height', 3: 'width'}
        if not end_to_end:
            axes = {'image': axes['image']} | _free_axes(exported, image)
    if os.path.dirname(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    # named in the graph, what the network gives can be looked at in the finished file
    exported.with_network = end_to_end
    names = list(dict.fromkeys((*exported.names, *exported.raw_names)))
    with (atomic_write(path) as unfinished, torch.no_grad(), exportable(),
          warnings.catch_warnings()):
        # every branch that the tracer warns about depends on settings, not on data
        warnings.simplefilter('ignore')
        torch.onnx.export(
            exported, (image, ), unfinished, dynamo=False, input_names=['image'],
            output_names=names, dynamic_axes=axes,
            opset_version=DEFORMABLE_OPSET if has_deformable(model) else OPSET)
        file = onnx.load(unfinished)
        del file.graph.output[len(exported.names):]
        onnx.helper.set_model_props(file, {METADATA_KEY: json.dumps(metadata or {})})
        onnx.save(file, unfinished)
    exported.with_network = False
    return exported


def _free_axes(exported, image):
    """Axes of the head's outputs that follow the size of the batch or of the image."""
    height, width = image.shape[-2:]
    with torch.no_grad():
        outputs = [exported(torch.zeros(*shape)) for shape in
                   ((1, 3, height, width), (2, 3, height + 64, width + 128))]
    return {name: {axis: f'{name}_{axis}' for axis, (a, b) in enumerate(zip(*shapes)) if a != b}
            for name, *shapes in zip(exported.names, *([output.shape for output in part]
                                                        for part in outputs))}
