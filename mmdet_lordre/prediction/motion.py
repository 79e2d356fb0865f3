"""Where objects will be: Kalman filters of constant velocity, all of them at once."""
import numpy as np

#: Standard deviations in shares of an object's side: of a measured place, and, a frame, of what
#: the place and the velocity change by themselves. The first velocity is unknown.
_MEASURED, _PLACE, _VELOCITY, _FIRST_VELOCITY = 0.05, 0.03, 0.01, 0.3
#: How much less a place counts that is measured by a part of the object.
_PART = 6.0


class Motion:
    """Places and velocities of N points, x and y apart but with the same variances.

    Attributes:
        mean: float64 (N, 4), x, y and pixels a frame.
        variance: float64 (N, 3), of the place, both together, the velocity.
        side: float64 (N,), of the objects in pixels.
    """

    def __init__(self) -> None:
        self.mean, self.variance = np.zeros((0, 4)), np.zeros((0, 3))
        self.side = np.zeros(0)

    def __len__(self) -> int:
        return len(self.mean)

    def add(self, places: np.ndarray, sides: np.ndarray) -> None:
        """Points that were not there.

        Args:
            places: (M, 2).
            sides: (M,), of their objects.
        """
        self.mean = np.concatenate([self.mean, np.hstack([places, np.zeros((len(places), 2))])])
        self.variance = np.concatenate([self.variance, np.stack([
            (_MEASURED * sides) ** 2, np.zeros(len(sides)), (_FIRST_VELOCITY * sides) ** 2],
            axis=1)])
        self.side = np.concatenate([self.side, sides])

    def keep(self, chosen: np.ndarray) -> None:
        """Leave out all but some points (places or bool)."""
        self.mean, self.variance = self.mean[chosen], self.variance[chosen]
        self.side = self.side[chosen]

    def predict(self, frames: float = 1.0) -> None:
        """Move on by some frames."""
        place, both, velocity = self.variance.T
        # of a time that is longer, more is unknown
        noise = self.side ** 2 * max(frames, 1e-3)
        self.mean[:, :2] += frames * self.mean[:, 2:]
        self.variance = np.stack([
            place + 2 * frames * both + frames ** 2 * velocity + _PLACE ** 2 * noise,
            both + frames * velocity, velocity + _VELOCITY ** 2 * noise], axis=1)

    def update(self, chosen: np.ndarray, places: np.ndarray, missing: np.ndarray) -> None:
        """Correct some points by what was measured.

        Args:
            chosen: int64 (M,), which.
            places: (M, 2).
            missing: (M,), share of each object that is hidden.
        """
        place, both, velocity = self.variance[chosen].T
        noise = (_MEASURED * self.side[chosen] * (1 + _PART * np.clip(missing, 0, 1))) ** 2
        total = place + noise
        gain = np.stack([place / total, both / total], axis=1)
        error = places - self.mean[chosen, :2]
        self.mean[chosen, :2] += gain[:, :1] * error
        self.mean[chosen, 2:] += gain[:, 1:] * error
        self.variance[chosen] = np.stack([
            place * (1 - gain[:, 0]), both * (1 - gain[:, 0]),
            velocity - gain[:, 1] * both], axis=1)

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of each place, (N,), pixels."""
        return np.sqrt(self.variance[:, 0])
