"""Pictures for tests: textures that differ from seed to seed, and objects on them."""
import numpy as np
from PIL import Image


def texture(seed, size=(160, 120)):
    """A picture of blobs in three colors: RGB, ``size`` is (width, height)."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    fine = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    return Image.blend(coarse.resize(size, Image.Resampling.BICUBIC),
                       fine.resize(size, Image.Resampling.BICUBIC), 0.4)
