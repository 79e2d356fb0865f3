"""What the tools do: configs, own data, early checks, safe checkpoints, a readable console."""
from .amp import BFloat16OptimWrapper
from .channels_last import ChannelsLastHook
from .errors import UserError, one_line_errors
from .runner import ToolRunner
from .safe_load import read_checkpoint, register_safe_globals, secure_mmengine

secure_mmengine()

__all__ = ['BFloat16OptimWrapper', 'ChannelsLastHook', 'ToolRunner', 'UserError', 'one_line_errors',
           'read_checkpoint', 'register_safe_globals', 'secure_mmengine']
