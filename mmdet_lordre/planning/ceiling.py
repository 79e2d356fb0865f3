"""The ceiling of a head on data: the AP of a network without any error, and what is lost where."""
import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import mmcv
import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from scipy.optimize import linear_sum_assignment
from torch import nn

from ..config.reading import evaluators, leaf_datasets, max_dets_of, type_name
from ..datasets.annotation_rules import encode_segmentation
from ..evaluation.coco_backend import mean_of_valid, pick_backend, run_coco_eval, summarize
from ..evaluation.coco_mask_metric import to_rles
from ..lordre import LordreHead, LordrePlaceHead
from ..masks import LazyMasks, bounds_of, mask_areas
from ..masks.drawing import draw_segment
from .objects import Objects
from .perfect import Scene, known_head, predict_perfectly
from .sample import objects_of

#: Pixels of the longer side from which on an image is taken smaller: masks of larger ones take
#: seconds each, and no network here sees as many pixels.
_LONGEST = 2048
#: Detections of a class in an image that COCO's AP counts, unless ``max_dets`` says more.
COUNTED = 100
#: Shares of the objects that :attr:`Ceiling.lost` names, and what each is.
LOSSES = {'unassigned': 'no level, cell or point takes them',
          'shared': 'another object has taken all of their cells or points',
          'queries': 'there are more objects than queries',
          'tiny': 'their masks have too few samples: they vanish, or the head drops them',
          'suppressed': 'found, and lost again: to suppression, or to max_per_img',
          'uncounted': 'found, but beyond the detections of a class in an image that AP counts',
          'coarse': 'drawn with an IoU below 0.75'}


@dataclass
class Ceiling:
    """What a head can reach at best.

    Attributes:
        ap, ap50, ap75: By COCO's rules, against the original annotations.
        by_size: AP of small, medium and large objects; -1 where there are none.
        by_class: AP by name.
        iou: Mean IoU of the objects that are found, with their own masks.
        lost: Shares of the objects by :data:`LOSSES`.
        objects: How many objects were drawn.
    """
    ap: float
    ap50: float
    ap75: float
    by_size: tuple[float, float, float]
    by_class: dict[str, float]
    iou: float
    objects: int
    lost: dict[str, float] = field(default_factory=dict)

    def reason(self) -> str:
        """The largest loss in words, or nothing when little is lost."""
        name = max(self.lost, key=self.lost.get, default=None)
        if name is None or self.lost[name] < 0.01:
            return f'outlines: IoU {self.iou:.2f} in the mean' if self.ap < 0.9 else ''
        return f'{self.lost[name]:.1%}: {LOSSES[name]}'

    @property
    def of_size(self) -> bool:
        """Whether most of what is lost would not be in larger images."""
        return max(self.lost, key=self.lost.get, default='') not in ('uncounted', 'queries')


class Resizer:
    """How the test pipeline of a config resizes an image, and how its input is padded.

    Args:
        cfg: With a test pipeline; one that does not resize leaves images as they are.
    """

    def __init__(self, cfg: Config):
        loader = cfg.get('test_dataloader') or cfg.train_dataloader
        dataset = next(leaf_datasets(loader.dataset), {})
        steps = [step for step in dataset.get('pipeline') or ()
                 if type_name(step).endswith('Resize')]
        self.step = steps[0] if steps else {}
        self.divisor = (cfg.model.get('data_preprocessor') or {}).get('pad_size_divisor', 1)

    def shape(self, size: Sequence[int]) -> tuple[int, int]:
        """(height, width) of the network input, without padding, for an image of a size."""
        height, width = (int(side) for side in size)
        scale = self.step.get('scale')
        if scale is None:
            factor = self.step.get('scale_factor') or 1.
            factors = factor if isinstance(factor, (tuple, list)) else (factor, factor)
            return (max(1, int(height * factors[1] + 0.5)), max(1, int(width * factors[0] + 0.5)))
        scale = (scale, scale) if isinstance(scale, int) else tuple(scale)
        if self.step.get('keep_ratio'):
            new = mmcv.rescale_size((width, height), scale)
            return new[1], new[0]
        return scale[1], scale[0]

    def padded(self, shape: Sequence[int]) -> tuple[int, int]:
        """Its size with padding."""
        return tuple(-(-side // self.divisor) * self.divisor for side in shape)


def make_scene(objects: Objects, image: int, resizer: Resizer, longest: int = _LONGEST) -> Scene:
    """An image as the network sees it, taken smaller if its longer side has more pixels."""
    chosen = objects_of(objects, image)
    size = tuple(int(side) for side in objects.sizes[image])
    shape = resizer.shape(size)
    segments = [objects.segments[i] for i in chosen]
    rows = slice(chosen.start, chosen.stop)
    boxes, step = objects.boxes[rows], -(-max(size) // longest)
    if step > 1:
        segments = [_smaller(segment, size, step) for segment in segments]
        size, boxes = tuple(-(-side // step) for side in size), boxes / step
    scale = np.array([shape[1] / size[1], shape[0] / size[0]] * 2, np.float32)
    masks = LazyMasks([[np.asarray(p, float) for p in s] if isinstance(s, list) else s
                       for s in segments], *size).resize(shape)
    truth = InstanceData(bboxes=torch.from_numpy(boxes.astype(np.float32) * scale),
                         labels=torch.from_numpy(objects.labels[rows]), masks=masks)
    return Scene(truth, segments, size, shape, resizer.padded(shape))


def _smaller(segment, size, step):
    """Run lengths of a mask in an image whose sides are divided by a whole number."""
    (top, left), mask = draw_segment(segment, *size)
    small = np.zeros([-(-side // step) for side in size], np.uint8, order='F')
    mask = np.pad(mask, ((top % step, -(top + mask.shape[0]) % step),
                         (left % step, -(left + mask.shape[1]) % step)))
    rows, columns = mask.shape[0] // step, mask.shape[1] // step
    share = cv2.resize(255 * mask, (columns, rows), interpolation=cv2.INTER_AREA)
    small[top // step:top // step + rows, left // step:left // step + columns] = share >= 128
    return mask_api.encode(small)


def build_head(cfg: Config) -> tuple[nn.Module | None, int]:
    """The head of a config's model, and the stride of the features that Lordre's works on.

    Returns:
        None in place of a head that :func:`predict_perfectly` does not know.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    key = 'mask_head' if cfg.model.get('mask_head') else 'bbox_head'
    kind = cfg.model.get(key)
    if not isinstance(kind, dict):
        return None, 0
    head = copy.deepcopy(kind)
    tests = cfg.model.get('test_cfg')
    head = MODELS.build({**head, 'test_cfg': tests} if tests and 'test_cfg' not in head else head)
    if not known_head(head):
        return None, 0
    stride = 8
    if isinstance(head, LordreHead | LordrePlaceHead):
        model = copy.deepcopy(cfg.model)
        model.backbone.init_cfg = None
        with torch.device('meta'):
            whole = MODELS.build(model).eval()
            feats = whole.to('meta').extract_feat(torch.empty(1, 3, 256, 256))
        stride = 256 // head.level(feats).shape[-1]
    return head, stride


def ceiling_of(cfg: Config, objects: Objects, images: Sequence[int],
               longest: int = _LONGEST, by_heart: bool = True) -> Ceiling | None:
    """The ceiling of a config's head.

    Args:
        cfg: With one of the five heads.
        objects: Data that the config is for.
        images: Which of its images are looked at, with an object each.
        longest: Pixels of the longer side beyond which an image is judged at a smaller size.
        by_heart: See :func:`.predict_perfectly`.

    Returns:
        None for a head of another kind.
    """
    head, stride = build_head(cfg)
    if head is None:
        return None
    resizer = Resizer(cfg)
    limits = max_dets_of(evaluators(cfg, 'val') or evaluators(cfg, 'test'))
    counted = limits[-1] if limits else COUNTED
    truths, results, fates = [], [], []
    for image in images:
        scene = make_scene(objects, int(image), resizer, longest)
        perfect = predict_perfectly(head, scene, stride, by_heart)
        rles = to_rles(perfect.found.masks)
        own = _truth_of(scene)
        for (rle, area, box), label in zip(own, scene.truth.labels.tolist()):
            truths.append(dict(id=len(truths) + 1, image_id=int(image) + 1, category_id=label + 1,
                               segmentation=rle, area=area, bbox=box, iscrowd=0))
        scores, labels = perfect.found.scores.tolist(), perfect.found.labels.tolist()
        results += [dict(image_id=int(image) + 1, category_id=label + 1, segmentation=rle,
                         score=score) for rle, score, label in zip(rles, scores, labels)]
        fates.append(_fates(perfect, scene, rles, [rle for rle, _, _ in own],
                            head, counted))
    return _summary(objects, images, truths, results, fates, counted)


def _truth_of(scene):
    """(run lengths, area, box) of each object at the original size."""
    image = dict(height=scene.size[0], width=scene.size[1])
    rles = to_rles([encode_segmentation(segment, image) for segment in scene.segments])
    return [(rle, float(area), box) for rle, area, box in zip(
        rles, mask_areas(rles), bounds_of(rles).astype(float).tolist())]


def _fates(perfect, scene, found, truths, head, counted):
    """(IoU with the best detection of the class, kind of loss or None) of each object."""
    best = np.zeros(len(truths))
    if found and truths:
        ious = np.asarray(mask_api.iou(found, truths, [0] * len(truths)))
        same = perfect.found.labels.numpy()[:, None] == scene.truth.labels.numpy()
        # a detection is of one object alone
        pairs = linear_sum_assignment(np.where(same, ious, 0), maximize=True)
        best[pairs[1]] = np.where(same, ious, 0)[pairs]
    uncounted = _uncounted(perfect.found, pairs, counted) if found and truths else ()
    losses, queries = [], isinstance(head, LordreHead | LordrePlaceHead)
    for iou, placed, assigned, tiny in zip(best, perfect.placed, perfect.assigned, perfect.tiny):
        if not placed:
            losses.append('shared' if assigned else 'queries' if queries else
                          'tiny' if tiny else 'unassigned')
        elif iou < 0.25:
            # Lordre suppresses nothing
            losses.append('tiny' if tiny else 'coarse' if queries else 'suppressed')
        else:
            losses.append('coarse' if iou < 0.75 else None)
    return best, ['uncounted' if number in uncounted and loss in (None, 'coarse') else loss
                  for number, loss in enumerate(losses)]


def _uncounted(found, pairs, counted):
    """Objects whose detections are not among the best of their class that are counted."""
    scores, labels = found.scores.numpy(), found.labels.numpy()
    beyond = np.zeros(len(scores), bool)
    order = np.argsort(-scores, kind='stable')
    for label in np.unique(labels):
        beyond[order[labels[order] == label][counted:]] = True
    return set(pairs[1][beyond[pairs[0]]].tolist())


def _summary(objects, images, truths, results, fates, counted):
    dataset = dict(
        images=[dict(id=int(i) + 1, height=int(objects.sizes[i][0]), width=int(objects.sizes[i][1]))
                for i in images],
        annotations=truths,
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(objects.classes)])
    coco = COCO()
    coco.dataset = dataset
    present = sorted({truth['category_id'] for truth in truths})
    # the index is made by whoever evaluates
    evaluator = run_coco_eval(coco, results, 'segm', cat_ids=present,
                              img_ids=[image['id'] for image in dataset['images']],
                              max_dets=(1, 10, counted), backend=pick_backend())
    figures = summarize(evaluator)
    precision = evaluator.eval['precision'][..., -1]
    by_class = {objects.classes[number - 1]: mean_of_valid(precision[:, :, k, 0])
                for k, number in enumerate(present)}
    best = np.concatenate([ious for ious, _ in fates])
    losses = [loss for _, found in fates for loss in found]
    lost = {name: losses.count(name) / len(losses) for name in LOSSES}
    drawn = best[[loss in (None, 'coarse', 'uncounted') for loss in losses]]
    return Ceiling(figures['mAP'], figures['mAP_50'], figures['mAP_75'],
                   (figures['mAP_s'], figures['mAP_m'], figures['mAP_l']), by_class,
                   float(drawn.mean()) if len(drawn) else 0., len(losses),
                   {name: share for name, share in lost.items() if share})
