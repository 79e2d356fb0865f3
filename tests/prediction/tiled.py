"""What the perfect model finds in a picture that is cut into tiles."""
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.tiles import open_stream

from .conftest import PerfectModel


def predict(image, **settings):
    stream = open_stream(PerfectModel(), Settings(score_thr=0.01, workers=1, **settings))
    result, = stream.run(open_source(image))
    return result


def as_set(result):
    return {(rle['counts'], int(label)) for rle, label in zip(result.masks, result.labels)}
