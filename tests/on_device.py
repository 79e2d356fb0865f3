"""Where the tests run: on the CPU, or on a GPU with ``make test DEVICE=cuda``."""
import os

import pytest

DEVICE = os.environ.get('DEVICE') or 'cpu'

#: What only a GPU can show.
needs_gpu = pytest.mark.skipif(DEVICE != 'cuda', reason='needs a GPU: make test DEVICE=cuda')


#: What starts several processes, each of which would want a GPU of its own.
several_processes = pytest.mark.skipif(DEVICE != 'cpu', reason='needs a GPU for each process')


#: Lines of a config whose training is to give the same bits twice: a GPU must be asked for it.
SAME_BITS = 'randomness = dict(deterministic=True)\n' if DEVICE == 'cuda' else ''


def problem() -> str | None:
    """Why the tests cannot run there, in a line, or None."""
    if DEVICE not in ('cpu', 'cuda'):
        return f'DEVICE must be cpu or cuda, not {DEVICE}'
    import torch
    if DEVICE == 'cuda' and not torch.cuda.is_available():
        return f'DEVICE=cuda, but torch {torch.__version__} finds no GPU'
    return None


def prepare() -> None:
    """Settings of this process and of those that it starts."""
    if DEVICE == 'cpu':
        # where there is a GPU as well, the commands under test do not choose it
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
        return
    # looking for a GPU must not take it away from processes that are forked later
    os.environ['PYTORCH_NVML_BASED_CUDA_CHECK'] = '1'
    os.environ['CUBLAS_WORKSPACE_CONFIG'] = ':4096:8'
    import torch
    # float32 means float32 where figures are compared
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def wait() -> None:
    """Wait until the device has done its work."""
    if DEVICE == 'cuda':
        import torch
        torch.cuda.synchronize()
