"""One clear sentence when the libraries below are missing or do not fit."""
import contextlib
import importlib
import io
import re

# Lowest version that works and the first that is not known to; either distribution
# (OpenMMLab's, or the onedl fork with the same import names) counts by its import name.
# torch 2.6 is the first whose add_safe_globals takes a function under another name, without which
# mmengine's log history cannot be allowed; 2.13 is what all tests run with. mmengine before
# 0.10.3 writes configs as YAML with objects of its own, which are refused. mmcv 2.0 asks the
# compiler for C++14, and torch's headers from 2.1 on demand C++17: no torch taken here builds it.
REQUIRED = {
    'torch': ((2, 6), None),
    'mmengine': ((0, 10, 3), (1, 0)),
    'mmcv': ((2, 1, 0), (3, 0)),
    'mmdet': ((3, 3, 0), (4, 0)),
}
REMEDY = ("install torch first, then 'pip install mmdet_lordre[openmmlab]' "
          "or, for the maintained fork, 'pip install mmdet_lordre[onedl]'")


def parse_version(text: str) -> tuple[int, ...]:
    """Leading numbers of a version: ``'2.13.0+cpu'`` gives ``(2, 13, 0)``."""
    return tuple(int(part) for part in re.match(r'\d+(?:\.\d+)*', text).group().split('.'))


def has_operators(device: object) -> bool:
    """Whether mmcv's operators were compiled for a device.

    They always are for the CPU, and for a GPU only where mmcv found the CUDA compiler.

    Args:
        device: A ``torch.device``, or its name.
    """
    torch, ops = importlib.import_module('torch'), importlib.import_module('mmcv.ops')
    kind = torch.device(device).type
    return kind == 'cpu' or (kind == 'cuda'
                             and ops.get_compiling_cuda_version() != 'not available')


def check_stack() -> None:
    """Import what the package stands on.

    Raises:
        ImportError: One sentence that names the library, what was found and the remedy.
    """
    for name, (lowest, limit) in REQUIRED.items():
        wanted = f'>={".".join(map(str, lowest))}'
        if limit:
            wanted += f',<{".".join(map(str, limit))}'
        try:
            version = importlib.import_module(name).__version__
        # mmdet asserts the versions of mmcv and mmengine that it accepts
        except (ImportError, AssertionError) as error:
            raise ImportError(f'mmdet_lordre needs {name}{wanted}, which cannot be imported '
                              f'({error}): {REMEDY}') from error
        found = parse_version(version)
        if found < lowest or (limit and found >= limit):
            raise ImportError(f'mmdet_lordre needs {name}{wanted} but found {version}: {REMEDY}')
    try:
        importlib.import_module('mmcv.ops')
    except ImportError as error:
        raise ImportError('mmdet_lordre needs mmcv with its compiled operators, which this '
                          f'installation lacks ({error}): uninstall mmcv-lite, then build mmcv '
                          'with MMCV_WITH_OPS=1') from error
    # the fork prints that a vendor's data sets are not there, among the output of the tools
    with contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module('mmdet.datasets')
