"""A device that exists in this process only: it computes on the CPU and reports what a GPU would.

Tensors of the device ``sim`` refuse to be mixed with tensors of the CPU, as CUDA's do, and every
operation for which a GPU would have to be waited for is counted with the line of this package that
asked for it: reading a value, copying to the CPU, and results whose size depends on values
(``nonzero``, a boolean index). Copies to the device are counted too.

It stands on torch's backend for Python (``PrivateUse1``), which is experimental: the tests say so
when the torch at hand does not have it.
"""
import os
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_map_only

import mmdet_lordre

NAME = 'sim'
PACKAGE = str(Path(mmdet_lordre.__file__).parent)
aten = torch.ops.aten

#: Results whose size depends on values: a GPU is waited for.
_SIZED_BY_VALUES = {
    'aten::nonzero', 'aten::masked_select', 'aten::_unique2', 'aten::unique_dim',
    'aten::unique_consecutive', 'aten::bincount', 'aten::argwhere', 'aten::is_nonzero',
    'aten::equal', 'aten::allclose', 'aten::histc'}
#: Operations that may take a CPU tensor beside the device's.
_COPIES = {'aten::copy_', 'aten::_to_copy', 'aten::set_'}
#: Operations that take indices.
_INDEXING = {'aten::index', 'aten::index_put', 'aten::index_put_', 'aten::_index_put_impl_'}


class Record:
    """What happened while it was open.

    Attributes:
        waits (Counter): (operation, place) of everything that a GPU would be waited for.
        uploads (Counter): (operation, place) of copies from the CPU to the device.
    """

    def __init__(self):
        self.waits, self.uploads = Counter(), Counter()

    def __str__(self):
        lines = [f'{len(list(self.waits.elements()))} waits']
        lines += [f'  {count} x {operation} at {place}'
                  for (operation, place), count in sorted(self.waits.items())]
        lines.append(f'{len(list(self.uploads.elements()))} uploads')
        lines += [f'  {count} x {operation} at {place}'
                  for (operation, place), count in sorted(self.uploads.items())]
        return '\n'.join(lines)


_open: list[Record] = []


@contextmanager
def recorded():
    """Yields a :class:`Record` of what happens inside."""
    record = Record()
    _open.append(record)
    try:
        yield record
    finally:
        _open.remove(record)


def _place():
    """The innermost line of the package that is at work, as ``file.py:function``."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(PACKAGE) and not name.endswith('transfer.py'):
            return f'{os.path.relpath(name, PACKAGE)}:{frame.f_code.co_name}'
        frame = frame.f_back
    return 'elsewhere'


def _note(kind, operation):
    if _open:
        key = (operation, _place())
        for record in _open:
            getattr(record, kind)[key] += 1


def _note_upload(what, size=1, non_blocking=False):
    if not size:
        return  # nothing travels
    _note('uploads', what)
    if not non_blocking:
        _note('waits', f'upload, {what}')


class SimTensor(torch.Tensor):
    """A tensor of the device, around the CPU tensor that holds its values."""

    @staticmethod
    def __new__(cls, raw, requires_grad=False):
        return torch.Tensor._make_wrapper_subclass(
            cls, raw.size(), strides=raw.stride(), storage_offset=raw.storage_offset(),
            dtype=raw.dtype, device=torch.device(NAME, 0), requires_grad=requires_grad)

    def __init__(self, raw, requires_grad=False):
        self.raw = raw

    __torch_function__ = torch._C._disabled_torch_function_impl

    def tolist(self):
        _note('waits', 'values')
        return self.raw.tolist()

    def __repr__(self):
        return f'SimTensor({self.raw})'

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = func._schema.name
        to_cpu = False
        if name == 'aten::_to_copy':
            target = kwargs.pop('device', None)
            kwargs.pop('pin_memory', None)
            to_cpu = target is not None and torch.device(target).type != NAME
            if to_cpu:
                _note('waits', 'to the CPU')
        elif name == 'aten::copy_':
            target, source = args[0], args[1]
            if isinstance(target, SimTensor) and not isinstance(source, SimTensor):
                _note_upload(f'copy of {tuple(source.shape)}', source.numel(), *args[2:], **kwargs)
            elif not isinstance(target, SimTensor):
                _note('waits', 'to the CPU')
        elif name == 'aten::_local_scalar_dense':
            _note('waits', 'a value')
        elif name in _SIZED_BY_VALUES:
            _note('waits', name)
        elif name in _INDEXING:
            cls._boolean_indices(name, args)
        elif name.startswith('aten::repeat_interleave') and kwargs.get('output_size') is None \
                and any(isinstance(a, torch.Tensor) for a in args[1:2] or args):
            _note('waits', name)
        if name not in _COPIES:
            cls._refuse_mixing(name, args, kwargs)
        if 'device' in kwargs:
            kwargs['device'] = torch.device('cpu')
        raw_args, raw_kwargs = tree_map_only(SimTensor, lambda t: t.raw, (args, kwargs))
        out = func(*raw_args, **raw_kwargs)
        if to_cpu:
            return out.clone() if any(out is t for t in raw_args) else out
        if name == 'aten::copy_' and not isinstance(args[0], SimTensor):
            return args[0]
        out = tree_map_only(torch.Tensor, SimTensor, out)
        return return_and_correct_aliasing(func, args, kwargs, out)

    @staticmethod
    def _boolean_indices(name, args):
        for index in args[1]:
            if index is not None and index.dtype in (torch.bool, torch.uint8):
                _note('waits', f'{name} by a boolean index')

    @staticmethod
    def _refuse_mixing(name, args, kwargs):
        def look(tensor):
            if not isinstance(tensor, SimTensor) and tensor.dim():
                # CUDA takes indices of the CPU, and copies them
                if name in _INDEXING:
                    _note_upload(f'index of {tuple(tensor.shape)}', tensor.numel())
                    return tensor
                raise RuntimeError(f'{name}: expected all tensors to be on the same device, but '
                                   f'found {NAME} and {tensor.device} {tuple(tensor.shape)}')
            return tensor
        tree_map_only(torch.Tensor, look, (args, kwargs))


class _Module:
    """What torch asks the module of a device for."""

    @staticmethod
    def is_available():
        return True

    @staticmethod
    def is_initialized():
        return True

    @staticmethod
    def _is_in_bad_fork():
        return False

    @staticmethod
    def current_device():
        return 0

    @staticmethod
    def device_count():
        return 1

    @staticmethod
    def manual_seed_all(seed):
        pass

    @staticmethod
    def get_amp_supported_dtype():
        return [torch.float16, torch.bfloat16]


_library = None


def set_up():
    """Make the device known to torch; once in a process."""
    global _library
    if _library is not None:
        return
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    _library = torch.library.Library('aten', 'IMPL')

    def empty(size, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
        return SimTensor(torch.empty(size, dtype=dtype))

    def empty_strided(size, stride, dtype=None, layout=None, device=None, pin_memory=None):
        return SimTensor(torch.empty_strided(size, stride, dtype=dtype))

    def copy_from(source, target, non_blocking=False):
        # torch.tensor(..., device=...) leaves out the dispatch to Python
        if isinstance(target, SimTensor):
            _note_upload(f'copy of {tuple(source.shape)}', source.numel(), non_blocking)
            target.raw.copy_(source)
        else:
            _note('waits', 'to the CPU')
            target.copy_(source.raw)
        return target

    _library.impl('_copy_from', copy_from, 'PrivateUse1')
    _library.impl('empty.memory_format', empty, 'PrivateUse1')
    _library.impl('empty_strided', empty_strided, 'PrivateUse1')


def to_device(value):
    """A tensor, module, list or dictionary on the device; parameters stay parameters."""
    if isinstance(value, torch.nn.Module):
        for module in value.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None:
                    module._parameters[name] = torch.nn.Parameter(
                        SimTensor(parameter.detach().clone()), parameter.requires_grad)
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = SimTensor(buffer.clone())
        return value
    return tree_map_only(torch.Tensor, lambda t: SimTensor(t.detach().clone()), value)
