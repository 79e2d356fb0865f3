"""Training that can be stopped, resumed and repeated: mmengine's Runner and what it lacks."""
from .bfloat16 import BFloat16OptimWrapper
from .channels_last import ChannelsLastHook
from .early_stopping import KeptEarlyStoppingHook
from .in_memory import KeepInMemory
from .muon import MuonWithAdamW
from .pictures import PicturesHook
from .runner import ToolRunner
from .timed import TimedSchedule
from .winograd import WinogradHook

__all__ = ['BFloat16OptimWrapper', 'ChannelsLastHook', 'KeepInMemory', 'KeptEarlyStoppingHook',
           'MuonWithAdamW', 'PicturesHook', 'TimedSchedule', 'ToolRunner', 'WinogradHook']
