"""Every parity case against the published outputs: checkpoint -> converter -> our model.

Cases are found in ``tests/data/parity`` and in the folders named by the environment variable
``PARITY_CASES`` (separated by ``:``). A case of an unknown source fails.
"""
import json

import numpy as np
import pytest

from tests.parity.case import (
    CHECKS,
    OWN_CASES,
    ParityCase,
    assert_close,
    assert_detections,
    check_module,
    find_cases,
)


@pytest.mark.parametrize('path', find_cases(), ids=lambda path: path.stem)
def test_parity(path, device):
    case = ParityCase(path)
    check_module(case.meta['source']).check(case, device)


def test_own_cases_cover_every_family():
    sources = {json.loads(path.read_text())['source'].split(' ')[0]
               for path in OWN_CASES.glob('*.json')}
    assert sources == set(CHECKS)


def test_an_unknown_source_fails():
    with pytest.raises(LookupError, match='no parity check'):
        check_module('Elsewhere head')


def test_cases_of_other_folders_are_found(tmp_path):
    (tmp_path / 'new.json').write_text('{}')
    assert tmp_path / 'new.json' in find_cases(str(tmp_path))
    assert len(find_cases(str(tmp_path))) == len(find_cases('')) + 1
    with pytest.raises(FileNotFoundError, match='holds no case'):
        find_cases(str(tmp_path / 'missing'))


class TestComparisons:
    """The comparisons themselves must be able to fail."""

    def detections(self, tmp_path):
        rng = np.random.default_rng(0)
        masks = rng.random((4, 40, 60)) > 0.5
        (tmp_path / 'one.json').write_text(json.dumps({'source': 'SOLO solov2 head'}))
        np.savez(tmp_path / 'one.npz', res0_scores=np.float32([.9, .5, .5, .1]),
                 res0_labels=np.array([1, 2, 2, 3]), res0_masks=np.packbits(masks, axis=-1),
                 res0_masks_shape=np.array(masks.shape))
        case = ParityCase(tmp_path / 'one.json')
        return case, np.float32([.9, .5, .5, .1]), np.array([1, 2, 2, 3]), masks

    def test_equal_detections_pass_and_ties_may_swap(self, tmp_path):
        case, scores, labels, masks = self.detections(tmp_path)
        assert_detections(case, 0, scores, labels, masks)
        swap = [0, 2, 1, 3]
        assert_detections(case, 0, scores[swap], labels[swap], masks[swap])

    def test_a_wrong_score_label_or_mask_fails(self, tmp_path):
        case, scores, labels, masks = self.detections(tmp_path)
        with pytest.raises(AssertionError, match='scores'):
            assert_detections(case, 0, scores + np.float32([0, .01, 0, 0]), labels, masks)
        with pytest.raises(AssertionError, match=r'published \[3\]'):
            assert_detections(case, 0, scores, np.array([1, 2, 2, 4]), masks)
        masks[0, :3] ^= True
        with pytest.raises(AssertionError, match=r'published \[0\]'):
            assert_detections(case, 0, scores, labels, masks)

    def test_missing_detections_fail(self, tmp_path):
        case, scores, labels, masks = self.detections(tmp_path)
        with pytest.raises(AssertionError, match='2 detections'):
            assert_detections(case, 0, scores[:2], labels[:2], masks[:2])

    def test_close_fails_beyond_the_tolerance_and_on_nan(self):
        assert_close('x', [1.0, 100.0], [1.00005, 100.005])
        for ours in ([1.001, 1.0], [np.nan, 1.0], [1.0]):
            with pytest.raises(AssertionError):
                assert_close('x', ours, [1.0, 1.0])
