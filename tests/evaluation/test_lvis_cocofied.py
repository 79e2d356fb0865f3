"""The federated protocol, rule by rule on data worked by hand, and against a plain version."""
import json

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from mmdet_lordre.evaluation import CocoMaskMetric, LVISMaskMetric

SIZE = 120
HIT = (10, 10, 50, 50)
MISS = (60, 60, 110, 110)


def rectangle(box):
    mask = np.zeros((SIZE, SIZE), bool)
    x1, y1, x2, y2 = box
    mask[y1:y2, x1:x2] = True
    return mask


def lvis_data(images, frequencies='fff'):
    """images: list of (annotations [(category, box)], negative, not exhaustive)."""
    data = dict(images=[], annotations=[], categories=[
        dict(id=number, name=f'thing{number}', frequency=frequency)
        for number, frequency in enumerate(frequencies, start=1)])
    for number, (annotations, negative, open_) in enumerate(images, start=1):
        data['images'].append(dict(id=number, height=SIZE, width=SIZE, neg_category_ids=negative,
                                   not_exhaustive_category_ids=open_))
        for category, (x1, y1, x2, y2) in annotations:
            data['annotations'].append(dict(
                id=len(data['annotations']) + 1, image_id=number, category_id=category,
                bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1),
                segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]]))
    return data


def sample(image, detections):
    """detections: [(category, box, score)]."""
    masks = [rectangle(box) for _, box, _ in detections]
    masks = torch.from_numpy(np.stack(masks)) if masks else torch.zeros(0, SIZE, SIZE) > 0
    return dict(img_id=image, ori_shape=(SIZE, SIZE), pred_instances=dict(
        labels=torch.tensor([category - 1 for category, *_ in detections], dtype=torch.long),
        scores=torch.tensor([score for *_, score in detections], dtype=torch.float64),
        masks=masks))


@pytest.fixture
def figures(tmp_path):
    def run(data, detections, classes=None, **kwargs):
        path = tmp_path / 'lvis.json'
        path.write_text(json.dumps(data))
        metric = LVISMaskMetric(str(path), **kwargs)
        metric.dataset_meta = dict(classes=classes or [c['name'] for c in data['categories']])
        for image, found in detections.items():
            metric.process(None, [sample(image, found)])
        result = metric.evaluate(len(detections))
        return {name.removeprefix('lvis/'): value for name, value in result.items()}
    return run


class TestRules:
    def test_only_the_positive_and_the_negative_list_count(self, figures):
        # image 1 has the category, image 2 says that it is absent, image 3 says nothing
        data = lvis_data([([(1, HIT)], [], []), ([], [1], []), ([], [], [])])
        result = figures(data, {1: [(1, HIT, .5)], 2: [(1, HIT, .9)], 3: [(1, HIT, .95)]})
        # false at .9, true at .5; that at .95 is dropped: precision 1/2 at every recall
        assert result['AP'] == pytest.approx(1 / 2, abs=1e-6)

    def test_a_miss_in_an_image_that_has_the_category_is_false(self, figures):
        data = lvis_data([([(1, HIT)], [], [])])
        result = figures(data, {1: [(1, MISS, .9), (1, HIT, .5)]})
        assert result['AP'] == pytest.approx(1 / 2, abs=1e-6)

    def test_misses_of_a_category_not_exhaustively_annotated_are_ignored(self, figures):
        data = lvis_data([([(1, HIT)], [], [1])])
        result = figures(data, {1: [(1, MISS, .9), (1, HIT, .5)]})
        assert result['AP'] == pytest.approx(1, abs=1e-6)
        # but what is annotated there counts as ever
        assert figures(data, {1: [(1, MISS, .9)]})['AP'] == 0

    def test_the_limit_is_by_image_over_all_categories(self, figures):
        data = lvis_data([([(1, HIT)], [2], [])])
        found = {1: [(2, HIT, .9), (2, MISS, .8), (1, HIT, .1)]}
        assert figures(data, found, max_dets=2)['AP'] == 0
        assert figures(data, found, max_dets=3)['AP'] == pytest.approx(1, abs=1e-6)
        # a category that the file does not have takes its place, too
        data['categories'] = data['categories'][:1]
        data['images'][0]['neg_category_ids'] = []
        classes = ['thing1', 'thing2']
        assert figures(data, found, classes, max_dets=2)['AP'] == 0

    def test_three_hundred_count(self, figures):
        data = lvis_data([([(1, HIT)], [2], [])])
        crowd = [(2, MISS, .9)] * 299
        assert figures(data, {1: [*crowd, (1, HIT, .1)]})['AP'] == pytest.approx(1, abs=1e-6)
        assert figures(data, {1: [*crowd, crowd[0], (1, HIT, .1)]})['AP'] == 0

    def test_rare_common_and_frequent(self, figures):
        data = lvis_data([([(1, HIT), (2, HIT), (3, HIT)], [], [])], frequencies='rcf')
        result = figures(data, {1: [(2, MISS, .9), (2, HIT, .8), (3, HIT, .7)]})
        assert [result[name] for name in ('APr', 'APc', 'APf', 'AP')] == pytest.approx(
            [0, 1 / 2, 1, 1 / 2], abs=1e-6)

    def test_a_frequency_without_category_has_no_figure(self, figures):
        result = figures(lvis_data([([(1, HIT)], [], [])], 'f'), {1: [(1, HIT, .7)]})
        assert (result['APr'], result['APc'], result['APf']) == (-1, -1, 1)

    def test_iou_thresholds(self, figures):
        data = lvis_data([([(1, (10, 10, 50, 60))], [], [])])
        # 40 x 41 of 40 x 50 pixels: IoU 0.82, above seven of the ten thresholds
        result = figures(data, {1: [(1, (10, 10, 50, 51), .9)]})
        assert [result[name] for name in ('AP', 'AP50', 'AP75', 'AR')] == pytest.approx(
            [.7, 1, 1, .7], abs=1e-6)

    def test_recall_points_and_areas(self, figures):
        data = lvis_data([([(1, (0, 0, 20, 20)), (1, (20, 20, 117, 117))], [], [])])
        result = figures(data, {1: [(1, (20, 20, 117, 117), .9)]})
        # half of the objects: 51 of the 101 recall points (0, .01, ... .5) have precision 1
        assert result['AP'] == pytest.approx(51 / 101, abs=1e-6)
        assert [result[name] for name in ('APs', 'APm', 'APl')] == [0, -1, 1]
        assert [result[name] for name in ('AR', 'ARs', 'ARm', 'ARl')] == [.5, 0, -1, 1]

    def test_images_of_the_file_that_were_not_tested_count_as_missed(self, figures):
        data = lvis_data([([(1, HIT)], [], []), ([(1, HIT)], [], [])])
        assert figures(data, {1: [(1, HIT, .9)]})['AP'] == pytest.approx(51 / 101, abs=1e-6)

    def test_other_images_are_left_out(self, figures):
        data = lvis_data([([(1, HIT)], [], [])])
        assert figures(data, {1: [(1, HIT, .5)], 77: [(1, HIT, .9)]})['AP'] == 1
        assert figures(data, {77: [(1, HIT, .9)]}) == {}

    def test_no_detection_is_zero(self, figures):
        assert figures(lvis_data([([(1, HIT)], [], [])]), {1: []})['AP'] == 0


def plain_lvis_ap(data, detections, max_dets):
    """AP and AP by frequency, by the protocol's own words, one detection at a time."""
    thresholds = np.linspace(.5, .95, 10)
    rows = []                           # (category, threshold index, score, order, hit)
    positives = {}
    for image in data['images']:
        truths = [a for a in data['annotations'] if a['image_id'] == image['id']]
        for truth in truths:
            positives[truth['category_id']] = positives.get(truth['category_id'], 0) + 1
        found = sorted(detections.get(image['id'], []), key=lambda d: -d[2])[:max_dets]
        for category, box, score in found:
            present = any(t['category_id'] == category for t in truths)
            if not present and category not in image['neg_category_ids']:
                continue
            rows.append((category, image, box, score))
    ap = {}
    for category, count in positives.items():
        mine = sorted((r for r in rows if r[0] == category), key=lambda r: -r[3])
        values = []
        for threshold in thresholds:
            taken, hits = set(), []
            for _, image, box, _ in mine:
                best, match = threshold, None
                for truth in data['annotations']:
                    if (truth['image_id'], truth['category_id']) != (image['id'], category):
                        continue
                    x, y, w, h = truth['bbox']
                    mask, other = rectangle(box), rectangle((x, y, x + w, y + h))
                    iou = (mask & other).sum() / (mask | other).sum()
                    if truth['id'] not in taken and iou >= best:
                        best, match = iou, truth['id']
                if match is not None:
                    taken.add(match)
                    hits.append(1)
                elif category not in image['not_exhaustive_category_ids']:
                    hits.append(0)
            true = np.cumsum(hits)
            precision = true / np.arange(1, len(hits) + 1)
            recall = true / count
            values += [max(precision[recall >= point], default=0.)
                       for point in np.linspace(0, 1, 101)]
        ap[category] = np.mean(values)
    groups = {c['id']: c['frequency'] for c in data['categories']}
    out = dict(AP=np.mean(list(ap.values())))
    for group in 'rcf':
        part = [value for category, value in ap.items() if groups[category] == group]
        out[f'AP{group}'] = np.mean(part) if part else -1
    return out


@pytest.mark.parametrize('seed', range(6))
def test_equals_the_plain_protocol(figures, seed):
    rng = np.random.default_rng(seed)
    boxes = [(x, y, x + w, y + h) for x, y, w, h in rng.integers(4, 50, (12, 4)).tolist()]
    images, detections = [], {}
    for number in range(1, 7):
        categories = rng.integers(1, 5, rng.integers(0, 6))
        annotations = [(int(c), boxes[rng.integers(12)]) for c in categories]
        absent = sorted(set(range(1, 5)) - set(categories.tolist()))
        negative = [c for c in absent if rng.random() < .5]
        open_ = [c for c in range(1, 5) if rng.random() < .3]
        images.append((annotations, negative, open_))
        found = [(int(rng.integers(1, 5)), boxes[rng.integers(12)], rng.random())
                 for _ in range(14)]
        shifted = [(c, (x1, y1, x2 + int(rng.integers(4)), y2), rng.random())
                   for c, (x1, y1, x2, y2) in annotations]
        detections[number] = found + shifted
    data = lvis_data(images, 'rccf')
    result = figures(data, detections, max_dets=12)
    for name, value in plain_lvis_ap(data, detections, 12).items():
        assert result[name] == pytest.approx(value, abs=1e-6), name


class TestBesideCoco:
    def evaluator(self, tmp_path, lvis_file):
        data = lvis_data([([(1, HIT)], [], [])], 'f')
        for annotation in data['annotations']:
            annotation['iscrowd'] = 0
        coco = tmp_path / 'coco.json'
        coco.write_text(json.dumps(data))
        evaluator = Evaluator([CocoMaskMetric(str(coco)), LVISMaskMetric(str(lvis_file))])
        evaluator.dataset_meta = dict(classes=['thing1'])
        return evaluator

    def test_both_from_one_pass(self, tmp_path):
        lvis = tmp_path / 'lvis.json'
        # the same object, outlined better: one pixel more on a side
        lvis.write_text(json.dumps(lvis_data([([(1, (10, 10, 50, 58))], [], [])], 'f')))
        evaluator = self.evaluator(tmp_path, lvis)
        one = sample(1, [(1, HIT, .9)])
        evaluator.process([one], None)
        result = evaluator.evaluate(1)
        assert result['coco/segm_mAP'] == 1
        # IoU 1600 / 1920 = 0.83: seven of ten
        assert result['lvis/AP'] == pytest.approx(.7, abs=1e-6)

    def test_without_the_file_coco_alone_and_how_to_get_it(self, tmp_path, caplog):
        from mmengine.logging import MMLogger
        logger = MMLogger.get_current_instance()
        logger.addHandler(caplog.handler)
        try:
            evaluator = self.evaluator(tmp_path, tmp_path / 'absent.json')
            evaluator.process([sample(1, [(1, HIT, .9)])], None)
            result = evaluator.evaluate(1)
        finally:
            logger.removeHandler(caplog.handler)
        assert result['coco/segm_mAP'] == 1
        assert not any(name.startswith('lvis') for name in result)
        assert 'prepare_cocofied_lvis.py' in caplog.text
        assert 'absent.json does not exist' in caplog.text


class TestClasses:
    COCO = ('person', 'bicycle', 'car')

    def test_cocofied_files_with_the_names_of_lvis_go_by_id(self, figures):
        data = lvis_data([([(3, HIT)], [], [])])
        for category, name in zip(data['categories'], ('baby', 'bicycle', 'car_(automobile)'),
                                  strict=True):
            category['name'] = name
        assert figures(data, {1: [(3, HIT, .9)]}, self.COCO)['AP'] == 1

    def test_a_whole_lvis_file_is_refused_for_a_coco_model(self, figures):
        data = lvis_data([([(1, HIT)], [], [])])
        data['categories'] += [dict(id=1203, name='zucchini', frequency='c')]
        with pytest.raises(ValueError, match='prepare_cocofied_lvis'):
            figures(data, {1: []}, self.COCO)

    def test_foreign_classes_are_refused(self, figures):
        with pytest.raises(ValueError, match='none of its categories'):
            figures(lvis_data([([(1, HIT)], [], [])]), {1: []}, ('screw', 'nail'))

    def test_a_coco_file_is_refused(self, figures):
        data = lvis_data([([(1, HIT)], [], [])])
        del data['categories'][0]['frequency']
        with pytest.raises(ValueError, match="'frequency'"):
            figures(data, {1: []})
