"""Configs whose text is formatted once.

mmengine lays a config out anew, which takes a second of a CPU, for the log, for each file that it
writes and for every checkpoint.
"""
import copy

from mmengine.config import Config

#: Formatted texts by the plain ones: of the runs of this process, the last few.
_FORMATTED: dict[str, str] = {}
_KEPT = 8


class FormattedOnce(Config):
    """A config that remembers its text as long as nothing in it changes."""

    @property
    def pretty_text(self) -> str:
        """The same as of :class:`~mmengine.config.Config`."""
        plain = copy.copy(self)
        object.__setattr__(plain, '_format_python_code', False)
        key = Config.pretty_text.fget(plain)
        if not self._format_python_code:
            return key
        if key not in _FORMATTED:
            text = Config.pretty_text.fget(self)
            while len(_FORMATTED) >= _KEPT:
                del _FORMATTED[next(iter(_FORMATTED))]
            _FORMATTED[key] = text
        return _FORMATTED[key]


def formatted_once(cfg: Config) -> Config:
    """A copy of a config that remembers its text."""
    cfg = copy.deepcopy(cfg)
    object.__setattr__(cfg, '__class__', FormattedOnce)
    return cfg
