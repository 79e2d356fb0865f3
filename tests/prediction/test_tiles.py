"""Large pictures: tiles give what one pass over the picture would give."""
import itertools
import random

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmdet_lordre.masks import encode_masks
from mmdet_lordre.prediction.joining import Joined, Piece, Window, is_cut, join, with_large
from mmdet_lordre.prediction.overlaps import intersection
from mmdet_lordre.prediction.settings import Settings
from mmdet_lordre.prediction.sources import open_source
from mmdet_lordre.prediction.stream import Stream
from mmdet_lordre.prediction.tiles import TiledStream, windows_of
from mmdet_lordre.prediction.trained_size import trained_side

from .conftest import PerfectModel
from .scenes import large_scene, scene
from .tiled import as_set, predict


@pytest.mark.parametrize('tile, overlap', [(150, 0.2), (64, 0.25), (97, 0.4)])
def test_tiles_give_what_one_pass_gives(tile, overlap):
    image = large_scene()
    whole, tiled = predict(image), predict(image, tile=tile, overlap=overlap)
    assert len(whole) > 30
    assert max(np.ptp(whole.boxes[:, [0, 2]], axis=1)) > 300  # over four tiles and more
    assert as_set(tiled) == as_set(whole)
    assert tiled.size == whole.size and (np.diff(tiled.scores) <= 0).all()


def test_the_order_of_tiles_has_no_part(monkeypatch):
    image = large_scene(seed=3)
    size = image.shape[:2]
    windows = windows_of(size, 90, 0.2)
    model, pieces = PerfectModel(), []
    for number, w in enumerate(windows):
        found, = Stream(model, Settings(score_thr=0)).run(
            open_source(image[w.y:w.y + w.height, w.x:w.x + w.width]))
        for rle, box, score, label in zip(found.masks, found.boxes.tolist(), found.scores.tolist(),
                                          found.labels.tolist()):
            box = (box[0] + w.x, box[1] + w.y, box[2] + w.x, box[3] + w.y)
            pieces.append(Piece(rle, score, label, number, box, is_cut(box, w, size)))
    expected = join(pieces, windows, size)
    for seed in range(3):
        random.Random(seed).shuffle(pieces)
        assert join(pieces, windows, size) == expected


def piece(mask, tile, window, size, score=0.9, label=0):
    """A piece of a mask over the picture, as its tile has it."""
    part = mask[window.y:window.y + window.height, window.x:window.x + window.width]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    box = (columns[0] + window.x, rows[0] + window.y, columns[-1] + 1 + window.x,
           rows[-1] + 1 + window.y)
    return Piece(encode_masks(part[None])[0], score, label, tile, box, is_cut(box, window, size))


class TestJoin:
    size = (100, 180)
    windows = [Window(0, 0, 100, 100), Window(0, 80, 100, 100)]

    def mask(self, y1, y2, x1, x2):
        mask = np.zeros(self.size, np.uint8)
        mask[y1:y2, x1:x2] = 1
        return mask

    def found(self, *masks, scores=(0.9, 0.8, 0.7), labels=(0, 0, 0)):
        pieces = [piece(mask, tile, self.windows[tile], self.size, score, label)
                  for (mask, tile), score, label in zip(masks, scores, labels)]
        return join(pieces, self.windows, self.size)

    def test_a_cut_object(self):
        one, = self.found((self.mask(10, 20, 50, 100), 0), (self.mask(10, 20, 80, 130), 1))
        assert one.rle == encode_masks(self.mask(10, 20, 50, 130)[None])[0]
        assert one.score == pytest.approx(0.9) and one.cut

    def test_neighbors_at_a_seam_stay_apart(self):
        # their boxes overlap by much, their masks by nothing
        upper = np.triu(np.ones((20, 20), np.uint8), 1)
        first, second = self.mask(0, 0, 0, 0), self.mask(0, 0, 0, 0)
        first[10:30, 80:100], second[10:30, 80:100] = upper, 1 - upper
        assert len(self.found((first, 0), (second, 1))) == 2

    def test_other_classes_stay_apart(self):
        mask = self.mask(10, 20, 85, 95)
        assert len(self.found((mask, 0), (mask, 1), labels=(0, 1))) == 2

    def test_the_uncut_mask_is_taken(self):
        whole = self.mask(10, 30, 82, 130)
        sloppy = self.mask(10, 33, 82, 100)
        one, = self.found((sloppy, 0), (whole, 1), scores=(0.95, 0.8))
        assert one.rle == encode_masks(whole[None])[0] and not one.cut

    def test_a_small_remainder_is_a_piece(self):
        """What a tile sees of an object at its rim may be much smaller there."""
        whole, rest = self.mask(10, 40, 40, 96), self.mask(12, 24, 80, 92)
        one, = self.found((whole, 0), (rest, 1))
        assert one.rle == encode_masks(whole[None])[0]

    def test_a_guess_changes_nothing(self):
        """Much less sure, it neither makes an object larger nor is one beside it."""
        sure, guess = self.mask(10, 20, 50, 100), self.mask(10, 40, 80, 130)
        one, = self.found((sure, 0), (guess, 1), scores=(0.9, 0.1))
        assert one.rle == encode_masks(sure[None])[0] and one.score == pytest.approx(0.9)
        # as sure as it is poor: all that is known of the object
        one, = self.found((sure, 0), (self.mask(10, 20, 80, 130), 1), scores=(0.1, 0.06))
        assert one.rle == encode_masks(self.mask(10, 20, 50, 130)[None])[0]

    @pytest.mark.parametrize('order', [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
    def test_a_guess_does_not_join_neighbors(self, order):
        masks = [(self.mask(10, 20, 60, 100), 0), (self.mask(20, 30, 60, 100), 0),
                 (self.mask(10, 30, 80, 120), 1)]
        found = self.found(*(masks[i] for i in order),
                           scores=[(0.9, 0.8, 0.2)[i] for i in order])
        assert [one.rle for one in found] == list(encode_masks(np.stack(
            [self.mask(10, 20, 60, 100), self.mask(20, 30, 60, 100)])))

    @pytest.mark.parametrize('order', list(itertools.permutations(range(3))))
    @pytest.mark.parametrize('scores', [(0.9, 0.3, 0.55), (0.9, 0.4, 0.15)])
    def test_a_guess_over_two_objects_takes_neither_with_it(self, scores, order):
        """A poor guess at the one on its left, as sure as the one on its right or much surer."""
        size = (100, 260)
        windows = [Window(0, x, 100, 100) for x in (0, 80, 160)]
        masks = np.zeros((3, *size), np.uint8)
        for mask, (x1, x2) in zip(masks, ((60, 100), (80, 180), (160, 230))):
            mask[20:40, x1:x2] = 1
        pieces = [piece(masks[i], i, windows[i], size, scores[i]) for i in order]
        found = join(pieces, windows, size)
        assert [(one.rle, one.score) for one in found] == [
            (rle, score) for rle, score in zip(encode_masks(masks[[0, 2]]), scores[::2])]

    def test_two_in_one_tile_stay_two(self):
        masks = [(self.mask(10, 20, 85, 95), 0), (self.mask(10, 20, 86, 96), 0)]
        assert len(self.found(*masks)) == 2

    def test_large_objects(self):
        large = Joined(encode_masks(self.mask(0, 90, 0, 170)[None])[0], 0.8, 0, False)
        pieces = self.found((self.mask(10, 80, 20, 100), 0), (self.mask(20, 30, 150, 160), 1))
        assert [one.cut for one in pieces] == [True, False]
        found = with_large(pieces, [large])
        # the cut piece is a part of the large object, the whole one lies on it
        assert [one.rle for one in found] == [large.rle, pieces[1].rle]
        same = Joined(encode_masks(self.mask(10, 80, 20, 102)[None])[0], 0.95, 0, False)
        assert with_large(pieces, [same]) == pieces  # the tiles' mask is finer
        assert with_large(pieces, [large, large]) == found
        guess = Joined(large.rle, 0.1, 0, False)
        assert with_large(pieces, [guess]) == [*pieces, guess]

    def test_what_is_left_out_later_stands_for_nothing(self):
        """Neither for pieces nor for another large object that is above its own threshold."""
        piece, = self.found((self.mask(10, 80, 20, 100), 0))
        whole = encode_masks(self.mask(0, 90, 0, 170)[None])[0]
        low, high = Joined(whole, 0.55, 0, False), Joined(whole, 0.6, 0, False)
        other = Joined(whole, 0.5, 1, False)
        thresholds = np.array([0.6, 0.3])
        assert with_large([piece], [low], thresholds) == [piece, low]
        assert with_large([piece], [high], thresholds) == [high]
        assert with_large([], [low, other], thresholds) == [other]
        assert with_large([], [high, other], thresholds) == [high]


def test_an_object_larger_than_tiles():
    """A blind model of tiles: it finds only what it sees whole."""
    class SeesWholeObjects(PerfectModel):

        def sample(self, image):
            found = super().sample(image)
            masks = found.pred_instances.masks
            edge = masks[:, [0, -1]].flatten(1).any(1) | masks[:, :, [0, -1]].flatten(1).any(1)
            found.pred_instances = found.pred_instances[~edge]
            return found

    image = np.zeros((600, 700, 3), np.uint8)
    cv2.circle(image, (330, 300), 250, (1, 9, 0), -1)
    cv2.circle(image, (620, 40), 20, (2, 90, 0), -1)
    stream = TiledStream(SeesWholeObjects(), Settings(tile=256, score_thr=0.1))
    result, = stream.run(open_source(image))
    assert len(result) == 2
    true = [(image[..., 0] == value) for value in (1, 2)]
    for mask, expected in zip(result.bitmaps(), true):
        assert (mask & expected).sum() / (mask | expected).sum() > 0.98


@pytest.mark.parametrize('score, found', [(0.2, 0.38), (0.29, 0.38), (0.31, 0.31)])
def test_a_poor_guess_at_the_whole_does_not_take_the_place_of_a_piece(score, found):
    """What the pass over the whole picture gives below the threshold costs no object."""
    class Unsure(PerfectModel):

        def sample(self, image):
            sample = super().sample(image)
            tile = image.shape[1] == 256
            sample.pred_instances.scores[:] = 0.38 if tile else score
            if tile and image[50, 0].any():  # it sees nothing of what begins further left
                sample.pred_instances = sample.pred_instances[:0]
            return sample

    image = np.zeros((256, 512, 3), np.uint8)
    image[:100, 100:500] = (3, 9, 0)
    stream = TiledStream(Unsure(), Settings(tile=256, score_thr=0.3, overlap=0))
    result, = stream.run(open_source(image))
    assert result.scores.tolist() == pytest.approx([found])


@pytest.mark.parametrize('threshold', [0.5, 0.7, 0.9])
def test_a_threshold_leaves_what_it_leaves_of_everything(threshold):
    """An object is not cut off where a tile is less sure of its part of it than the threshold."""
    class LessSureOfParts(PerfectModel):

        def sample(self, image):
            found = super().sample(image)
            cut = found.pred_instances.masks[:, :, 0].any(1)
            found.pred_instances.scores[cut] *= 0.7
            return found

    every, sure = (next(TiledStream(LessSureOfParts(), Settings(
        tile=100, score_thr=score)).run(open_source(large_scene()))) for score in (0, threshold))
    kept = every[every.scores >= threshold]
    assert len(kept) > 5
    assert as_set(sure) == as_set(kept) and (sure.scores == kept.scores).all()


def test_windows():
    for size in ((100, 100), (99, 250), (1000, 333)):
        windows = windows_of(size, 100, 0.2)
        seen = np.zeros(size, int)
        for w in windows:
            assert w.height == min(100, size[0]) and w.width == min(100, size[1])
            seen[w.y:w.y + w.height, w.x:w.x + w.width] += 1
        assert seen.min() >= 1
        columns = sorted({w.x for w in windows})
        assert all(b - a <= 80 for a, b in itertools.pairwise(columns))
    assert len(windows_of((100, 100), 100, 0.2)) == 1


def test_small_pictures_are_left_whole():
    image = large_scene(90)
    model = PerfectModel()
    result, = TiledStream(model, Settings(tile=200)).run(open_source(image))
    assert model.calls == [[(3, 90, 130)]] and len(result)


@pytest.mark.parametrize('turned', [False, True])
def test_tiles_are_as_narrow_as_the_picture(turned):
    """As crops are in training; they still share their batches."""
    image = large_scene(300)[:50]
    if turned:
        image = np.ascontiguousarray(image.transpose(1, 0, 2))
    model = PerfectModel()
    tiled, = TiledStream(model, Settings(tile=100, score_thr=0.01, batch=2)).run(
        open_source(image))
    *tiles, whole = model.calls
    size = (3, 100, 50) if turned else (3, 50, 100)
    assert len(whole) == 1 and tiles == [[size, size]] * 2
    assert as_set(tiled) == as_set(predict(image))


def test_a_picture_of_which_no_row_is_left():
    """It does not stop the others, and tiles do not need it smaller."""
    model = PerfectModel()
    model.cfg.test_dataloader.dataset.pipeline.insert(
        1, dict(type='Resize', scale=(100, 100), keep_ratio=True))
    thin = np.zeros((1, 300, 3), np.uint8)
    thin[:, 140:180] = (1, 20, 0)
    fine = scene(100, 100, (2, 3, 10, 12))
    broken, other = Stream(model, Settings()).run(open_source([thin, fine]))
    assert '300x1 px are so thin that nothing is left' in broken.error
    assert other.error is None and len(other) == 1
    found, = TiledStream(model, Settings(tile=100)).run(open_source(thin))
    assert found.boxes.tolist() == [[140, 0, 180, 1]]


def test_the_size_that_a_model_was_trained_at():
    def cfg(test, train=()):
        return Config(dict(test_dataloader=dict(dataset=dict(pipeline=list(test))),
                           train_dataloader=dict(dataset=dict(dataset=dict(
                               pipeline=list(train))))))
    resize = dict(type='mmdet.Resize', scale=(1333, 800))
    assert trained_side(cfg([dict(type='LoadImageFromFile'), resize])) == 800
    free = dict(type='Resize', scale_factor=1.0)
    assert trained_side(cfg([free], [dict(type='RandomCrop', crop_size=(512, 640))])) == 512
    assert trained_side(cfg([free])) == 1024
    # of several sizes the middle one, also deeper in the pipeline
    choice = dict(type='RandomChoiceResize', scales=[(853, 416), (853, 480), (853, 608)])
    assert trained_side(cfg([free], [choice])) == 480
    deep = dict(type='RandomChoice', transforms=[[dict(choice, scales=[400, 500, 600])], [choice]])
    assert trained_side(cfg([free], [dict(type='RandomFlip'), deep])) == 500
    ranged = dict(type='mmdet.RandomResize', scale=(640, 512), ratio_range=(0.5, 1.0))
    assert trained_side(cfg([free], [ranged])) == 384
    between = dict(type='RandomResize', scale=[(1333, 640), (1333, 800)])
    assert trained_side(cfg([free], [between])) == 720
    # what is tested at one size is cut at that size
    assert trained_side(cfg([resize], [choice])) == 800


def test_an_intersection_of_nothing():
    from mmdet_lordre.masks.runs import Crop
    assert intersection(Crop(0, 0, np.ones((3, 3), np.uint8)),
                        Crop(3, 0, np.ones((3, 3), np.uint8))) == 0
