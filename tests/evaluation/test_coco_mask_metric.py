"""CocoMaskMetric: figures worked by hand, equal backends, results without boxes."""
import importlib.util
import json

import numpy as np
import pycocotools.mask as mask_api
import pytest
import torch
from mmdet.evaluation.metrics import CocoMetric
from mmdet.structures.mask import mask2bbox
from mmengine.logging import MMLogger
from pycocotools.coco import COCO

from mmdet_lordre.evaluation import CocoMaskMetric
from mmdet_lordre.evaluation.coco_backend import pick_backend
from mmdet_lordre.masks import encode_masks

SIZE = (60, 80)
IDS = {'cat': 30, 'dog': 4, 'ox': 17}


def square(y, x, side, size=SIZE):
    mask = torch.zeros(size, dtype=torch.bool)
    mask[y:y + side, x:x + side] = True
    return mask


def write(path, images, categories=IDS):
    """``images``: a list of [(class name, mask, crowd), ...], one list for each image."""
    annotations = []
    for number, found in enumerate(images):
        for name, mask, crowd in found:
            rle = mask_api.encode(np.asfortranarray(mask.numpy().astype(np.uint8)))
            box = mask_api.toBbox(rle).tolist()
            rle['counts'] = rle['counts'].decode()
            annotations.append(dict(
                id=len(annotations) + 1, image_id=number + 5, category_id=categories[name],
                segmentation=rle, bbox=box, area=float(mask.sum()), iscrowd=int(crowd)))
    path.write_text(json.dumps(dict(
        images=[dict(id=i + 5, file_name=f'{i}.jpg', height=SIZE[0], width=SIZE[1])
                for i in range(len(images))],
        annotations=annotations,
        categories=[dict(id=i, name=n) for n, i in categories.items()])))
    return str(path)


def sample(number, found, boxes=True, form=lambda masks: masks, classes=tuple(IDS)):
    """A data sample; ``found``: [(class name, mask, score), ...]."""
    masks = torch.stack([mask for _, mask, _ in found]) if found \
        else torch.zeros(0, *SIZE, dtype=torch.bool)
    pred = dict(masks=form(masks), scores=torch.tensor([score for *_, score in found]),
                labels=torch.tensor([classes.index(n) for n, *_ in found], dtype=torch.long))
    if boxes:
        pred['bboxes'] = mask2bbox(masks)
    return dict(img_id=number + 5, ori_shape=SIZE, pred_instances=pred)


def evaluate(ann_file, samples, cls=CocoMaskMetric, classes=tuple(IDS), **kwargs):
    metric = cls(ann_file=ann_file, **kwargs)
    metric.dataset_meta = dict(classes=classes)
    for one in samples:
        metric.process(None, [one])
    return metric.evaluate(len(samples))


@pytest.fixture(scope='module')
def busy(tmp_path_factory):
    """A data set with crowds and empty images, and noisy detections of it."""
    rng = np.random.default_rng(3)
    truth, detections = [], []
    for _ in range(15):
        here, found = [], []
        for _ in range(rng.integers(0, 5)):
            side = int(rng.integers(4, 40))
            y, x = int(rng.integers(SIZE[0] - side)), int(rng.integers(SIZE[1] - side))
            name = list(IDS)[rng.integers(3)]
            here.append((name, square(y, x, side), rng.random() < 0.1))
            for _ in range(rng.integers(0, 4)):
                shifted = square(max(0, y + int(rng.integers(-3, 4))),
                                 max(0, x + int(rng.integers(-3, 4))), side)
                wrong = rng.random() < 0.15
                found.append((list(IDS)[rng.integers(3)] if wrong else name, shifted,
                              float(np.float32(rng.random()))))
        truth.append(here)
        detections.append(found)
    return write(tmp_path_factory.mktemp('busy') / 'truth.json', truth), detections


def test_by_hand(tmp_path):
    """Two instances of one class; one found exactly, one missed; one false detection between.

    Precision is 1 up to recall 0.5 and 0 beyond: COCO samples recall at 0, 0.01, ..., 1, and
    51 of these 101 points are at most 0.5.
    """
    ann = write(tmp_path / 'a.json', [[('dog', square(2, 2, 20), False),
                                       ('dog', square(30, 40, 20), False)]])
    figures = evaluate(ann, [sample(0, [('dog', square(2, 2, 20), 0.9),
                                        ('dog', square(0, 60, 10), 0.8)])])
    assert figures['coco/segm_mAP'] == pytest.approx(51 / 101, abs=1e-6)
    assert figures['coco/segm_mAP_s'] == pytest.approx(51 / 101, abs=1e-6)  # 400 px < 32 * 32
    assert figures['coco/segm_mAP_l'] == -1  # there is none


def test_iou_thresholds_by_hand(tmp_path):
    """A mask of IoU 0.8 counts at 0.50, 0.55, ..., 0.80: seven of ten thresholds."""
    ann = write(tmp_path / 'a.json', [[('dog', square(10, 10, 20), False)]])
    part = square(10, 10, 20)
    part[10:14] = False  # 16 of 20 rows
    figures = evaluate(ann, [sample(0, [('dog', part, 0.9)])])
    assert figures['coco/segm_mAP'] == pytest.approx(0.7, abs=1e-6)
    assert figures['coco/segm_mAP_50'] == figures['coco/segm_mAP_75'] == 1


def test_both_backends_are_equal_to_the_last_digit(busy):
    assert importlib.util.find_spec('faster_coco_eval')
    ann, detections = busy
    samples = [sample(i, found) for i, found in enumerate(detections)]
    faster, plain = (evaluate(ann, samples, metric=['segm', 'bbox', 'proposal'], classwise=True,
                              backend=backend) for backend in ('faster', 'pycocotools'))
    assert 0.1 < plain['coco/segm_mAP'] < 0.95
    assert faster == pytest.approx(plain, abs=0, rel=0, nan_ok=True)


def test_the_figures_are_those_of_mmdet(busy):
    ann, detections = busy
    samples = [sample(i, found) for i, found in enumerate(detections)]
    ours = evaluate(ann, samples, metric=['segm', 'bbox'])
    mmdet = evaluate(ann, samples, cls=CocoMetric, metric=['segm', 'bbox'])
    assert set(ours) == set(mmdet)
    assert {name: round(value, 3) for name, value in ours.items()} == mmdet


def test_masks_alone(busy):
    """Without boxes masks are judged the same, and boxes are the tight ones."""
    ann, detections = busy
    expected = evaluate(ann, [sample(i, f) for i, f in enumerate(detections)],
                        metric=['segm', 'bbox'])
    alone = evaluate(ann, [sample(i, f, boxes=False) for i, f in enumerate(detections)],
                     metric=['segm', 'bbox'])
    assert alone == expected


@pytest.mark.parametrize('form', [
    encode_masks, lambda masks: list(encode_masks(masks)), lambda masks: masks.numpy(),
    lambda masks: masks.to(torch.uint8)], ids=['RLEMasks', 'list', 'array', 'uint8'])
def test_forms_of_masks(busy, form):
    ann, detections = busy
    expected = evaluate(ann, [sample(i, f) for i, f in enumerate(detections)])
    assert evaluate(ann, [sample(i, f, form=form) for i, f in enumerate(detections)]) == expected


def test_classes_go_by_name(busy):
    """A model whose classes are in another order than the file gets the same figures."""
    ann, detections = busy
    order = tuple(reversed(IDS))
    expected = evaluate(ann, [sample(i, f) for i, f in enumerate(detections)], classwise=True)
    other = evaluate(ann, [sample(i, f, classes=order) for i, f in enumerate(detections)],
                     classes=order, classwise=True)
    assert other == expected


def test_classes_that_the_file_lacks(busy, tmp_path):
    """Their detections are left out; without any class in common it is an error."""
    ann, detections = busy
    more = ('yak', *IDS)
    samples = [sample(i, f, classes=more) for i, f in enumerate(detections)]
    samples[0] = sample(0, [('yak', square(1, 1, 9), 0.99)], classes=more)
    detections = [[], *detections[1:]]
    expected = evaluate(ann, [sample(i, f) for i, f in enumerate(detections)])
    assert evaluate(ann, samples, classes=more) == expected
    with pytest.raises(ValueError, match=r'none of the classes of the model \(yak\)'):
        evaluate(ann, samples, classes=('yak',))


def test_classwise(busy):
    """Every class's AP is that of a metric of this class alone."""
    ann, detections = busy
    samples = [sample(i, found) for i, found in enumerate(detections)]
    figures = evaluate(ann, samples, classwise=True)
    for name in IDS:
        alone = evaluate(ann, [sample(i, [f for f in found if f[0] == name])
                               for i, found in enumerate(detections)], classwise=True)
        assert figures[f'coco/{name}_precision'] == alone[f'coco/{name}_precision']
    mean = np.mean([figures[f'coco/{name}_precision'] for name in IDS])
    assert figures['coco/segm_mAP'] == pytest.approx(mean, abs=2e-6)


@pytest.mark.parametrize('backend', ['faster', 'pycocotools'])
@pytest.mark.parametrize('metric', ['segm', ['segm', 'bbox']])
def test_nothing_detected(busy, backend, metric):
    ann, detections = busy
    figures = evaluate(ann, [sample(i, [], boxes=False) for i in range(len(detections))],
                       metric=metric, backend=backend)
    for kind in [metric] if isinstance(metric, str) else metric:
        assert figures[f'coco/{kind}_mAP'] == figures[f'coco/{kind}_mAP_50'] == 0
    assert not any(value > 0 for value in figures.values())


def test_nothing_detected_is_said(busy, monkeypatch):
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    evaluate(busy[0], [sample(0, [('dog', square(2, 2, 20), 0.9)])])
    assert said == []
    evaluate(busy[0], [sample(0, [])])
    assert len(said) == 1 and 'detected nothing' in said[0]


def test_empty_masks_and_low_precision(busy):
    """A mask without pixels is a false detection; bfloat16 scores are welcome."""
    ann, _ = busy
    one = sample(0, [('dog', torch.zeros(SIZE, dtype=torch.bool), 0.5)], boxes=False)
    one['pred_instances']['scores'] = one['pred_instances']['scores'].bfloat16()
    assert evaluate(ann, [one], metric=['segm', 'bbox'])['coco/segm_mAP'] == 0


def test_a_hundred_detections_count(tmp_path):
    """The right one comes after a hundred wrong ones of higher score: not seen."""
    ann = write(tmp_path / 'a.json', [[('dog', square(40, 60, 12), False)]])
    wrong = [('dog', square(0, 0, 5), 0.5 + i / 1000) for i in range(100)]
    right = ('dog', square(40, 60, 12), 0.1)
    assert evaluate(ann, [sample(0, [*wrong, right])])['coco/segm_mAP_50'] == 0
    assert evaluate(ann, [sample(0, [*wrong[1:], right])])['coco/segm_mAP_50'] > 0
    assert evaluate(ann, [sample(0, [*wrong, right])],
                    max_dets=(1, 10, 200))['coco/segm_mAP_50'] > 0


def test_results_for_the_server(busy, tmp_path):
    """``format_only`` writes what COCO reads, and evaluates nothing."""
    ann, detections = busy
    samples = [sample(i, found) for i, found in enumerate(detections)]
    figures = evaluate(ann, samples, format_only=True,
                       outfile_prefix=str(tmp_path / 'new' / 'r'))
    assert figures == {}
    written = json.loads((tmp_path / 'new' / 'r.segm.json').read_text())
    assert len(written) == sum(map(len, detections))
    assert {entry['category_id'] for entry in written} <= set(IDS.values())
    assert len(COCO(ann).loadRes(str(tmp_path / 'new' / 'r.segm.json')).anns) == len(written)


def test_without_an_annotation_file(busy, tmp_path):
    """The ground truth of the data samples gives the same as the file."""
    ann, detections = busy
    truth = COCO(ann)
    expected = evaluate(ann, [sample(i, f) for i, f in enumerate(detections)])
    samples = []
    for number, found in enumerate(detections):
        one = sample(number, found)
        one['instances'] = [dict(
            bbox=[a['bbox'][0], a['bbox'][1], a['bbox'][0] + a['bbox'][2],
                  a['bbox'][1] + a['bbox'][3]],
            bbox_label=list(IDS.values()).index(a['category_id']), mask=a['segmentation'],
            ignore_flag=a['iscrowd']) for a in truth.imgToAnns[number + 5]]
        samples.append(one)
    figures = evaluate(None, samples)
    assert figures['coco/segm_mAP'] == expected['coco/segm_mAP']
    # where mmdet's leaves it
    evaluate(None, samples, outfile_prefix=str(tmp_path / 'new' / 'r'))
    written = COCO(str(tmp_path / 'new' / 'r.gt.json'))
    assert len(written.anns) == len(truth.anns) and written.imgs.keys() == truth.imgs.keys()


def test_wrong_arguments(busy, tmp_path):
    with pytest.raises(KeyError, match='unknown metric'):
        CocoMaskMetric(ann_file=busy[0], metric='mAP')
    with pytest.raises(FileNotFoundError, match=r'gone\.json'):
        CocoMaskMetric(ann_file=str(tmp_path / 'gone.json'))
    with pytest.raises(KeyError, match='AP99'):
        evaluate(busy[0], [sample(0, [])], metric_items=['AP99'])
    with pytest.raises(ValueError, match='ascending'):
        CocoMaskMetric(ann_file=busy[0], max_dets=(100, 1, 10))
    with pytest.raises(ValueError, match='backend'):
        pick_backend('fastest')


def test_recall_by_name(busy):
    ann, detections = busy
    figures = evaluate(ann, [sample(i, f) for i, f in enumerate(detections)],
                       metric_items=['AR@1', 'AR@100', 'AR_s@100'])
    assert list(figures) == ['coco/segm_AR@1', 'coco/segm_AR@100', 'coco/segm_AR_s@100']
    assert figures['coco/segm_AR@1'] < figures['coco/segm_AR@100']


def test_pycocotools_is_taken_where_the_other_is_missing(monkeypatch):
    assert pick_backend() == 'faster'
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert pick_backend() == 'pycocotools'
    with pytest.raises(ValueError, match='pip install faster-coco-eval'):
        pick_backend('faster')


def test_recall_over_all_images_by_hand(tmp_path):
    """``proposal_fast``: boxes by score, whatever their order and classes; crowds do not count."""
    ann = write(tmp_path / 'a.json', [
        [('cat', square(0, 0, 20), False), ('dog', square(30, 40, 10), False),
         ('ox', square(0, 60, 8), True)], [('ox', square(5, 5, 10), False)], []])
    samples = [sample(0, [('ox', square(40, 0, 5), 0.5), ('ox', square(0, 0, 20), 0.9),
                          ('dog', square(30, 40, 10), 0.3)]),
               sample(1, []), sample(2, [('cat', square(0, 0, 20), 0.9)])]
    figures = evaluate(ann, samples, metric='proposal_fast', proposal_nums=(1, 2, 100))
    assert figures == {f'coco/AR@{number}': pytest.approx(recall)
                       for number, recall in ((1, 1 / 3), (2, 1 / 3), (100, 2 / 3))}
    empty = write(tmp_path / 'e.json', [[]])
    assert evaluate(empty, samples[:1], metric='proposal_fast')['coco/AR@100'] == -1


def test_recall_over_all_images_is_that_of_mmdet(tmp_path):
    """On one image: mmdet's own stops where images have unequal numbers of boxes."""
    generator = np.random.default_rng(0)
    places = generator.integers(0, 30, (14, 3))
    objects = [('cat', square(y, x, 6 + side), False) for y, x, side in places[:7].tolist()]
    found = [('dog', square(y + 1, x, 6 + side), 1 - 0.01 * i)
             for i, (y, x, side) in enumerate(places[[3, 9, 0, 1, 12, 5, 6, 2, 8]].tolist())]
    ann = write(tmp_path / 'a.json', [objects])
    settings = dict(metric='proposal_fast', proposal_nums=(1, 4, 9), iou_thrs=[0.3, 0.5, 0.7])
    ours, theirs = (evaluate(ann, [sample(0, found)], cls=cls, **settings)
                    for cls in (CocoMaskMetric, CocoMetric))
    assert 0 < ours['coco/AR@4'] < ours['coco/AR@9'] and ours == pytest.approx(theirs, abs=1e-6)


def test_proposals_are_those_of_mmdet(busy):
    ann, detections = busy
    samples = [sample(i, found) for i, found in enumerate(detections)]
    settings = dict(metric='proposal', proposal_nums=(1, 5, 100))
    ours, theirs = (evaluate(ann, samples, cls=cls, **settings)
                    for cls in (CocoMaskMetric, CocoMetric))
    assert 0 < ours['coco/AR@1'] < ours['coco/AR@100']
    names = ('AR@1', 'AR@5', 'AR@100', 'AR_s@100', 'AR_m@100', 'AR_l@100')
    assert [ours[f'coco/{name}'] for name in names] == pytest.approx(
        # rounded to three digits, and called AR@100, AR@300, AR@1000 whatever the numbers are
        list(theirs.values()), abs=6e-4)
    perfect = [sample(i, [(name, mask, 1) for name, mask, _ in found])
               for i, found in enumerate(detections)]
    assert evaluate(ann, perfect, **settings).keys() == ours.keys()


def test_format_only_needs_a_place(busy):
    with pytest.raises((AssertionError, ValueError)):
        CocoMaskMetric(ann_file=busy[0], format_only=True)
