"""Pictures that are read once, however often steps are measured on them."""
import contextlib
from collections.abc import Iterator

from mmcv.transforms import LoadImageFromFile

from .stopwatch import working_clock


class ReadOnce(LoadImageFromFile):
    """Keeps what it has read: reading large pictures anew would take most of the time.

    Not thread-safe, and meant for the few pictures that a plan measures steps on.
    """

    _read: dict[str, dict] = {}
    _seconds: list[float] = []

    def transform(self, results: dict) -> dict:
        """As mmcv's ``LoadImageFromFile``."""
        path, before = results['img_path'], set(results)
        if path not in self._read:
            clock = working_clock()
            found = super().transform(results)
            self._seconds.append(clock())
            self._read[path] = {key: found[key] for key in found if key not in before}
        results.update(self._read[path])
        return results

    @classmethod
    def spent(cls) -> float:
        """Seconds that reading has taken so far."""
        return sum(cls._seconds)

    @classmethod
    def a_picture(cls) -> float:
        """Seconds that reading one takes; 0 where none was read here."""
        return cls.spent() / max(1, len(cls._seconds))

    @classmethod
    @contextlib.contextmanager
    def uncounted(cls) -> Iterator[None]:
        """A context whose pictures do not tell how long others take."""
        count = len(cls._seconds)
        yield
        del cls._seconds[count:]

    @classmethod
    def forget(cls) -> None:
        """Free the pictures."""
        cls._read.clear()
        cls._seconds.clear()
