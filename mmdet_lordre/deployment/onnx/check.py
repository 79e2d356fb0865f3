"""Does onnxruntime find what PyTorch finds?"""
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ...polarmask.polygons import contours_to_bitmaps
from ...text import agree, plural
from ..network import Network
from .model import instances_of

if TYPE_CHECKING:
    import onnxruntime

#: Masks less similar are not of a pair.
_LEAST_IOU = 0.9
#: From which on masks of a pair agree.
MASK_IOU = 0.98
#: Masks of a pair agree, too, that differ by no more: a probability that lies at the threshold up
#: to rounding falls on either side of it, and of a mask of 90 pixels two are more than 2 %.
ROUNDED_PIXELS = 2


@dataclass
class Agreement:
    """How two sets of detections compare.

    Attributes:
        matched: Detections found on both sides.
        missing: (side, label, score) of the others.
        score_difference: Largest difference of the scores of a pair.
        worst_iou: Least IoU of the masks of a pair.
        unlike: (IoU, pixels that differ, label, score) of the pairs whose masks do not agree:
            by :data:`MASK_IOU` and :data:`ROUNDED_PIXELS`.
        scores: (PyTorch, onnxruntime) of each pair.
    """
    matched: int = 0
    missing: list = field(default_factory=list)
    score_difference: float = 0.0
    worst_iou: float = 1.0
    unlike: list = field(default_factory=list)
    scores: list = field(default_factory=list)

    def __add__(self, other: 'Agreement') -> 'Agreement':
        return Agreement(self.matched + other.matched, self.missing + other.missing,
                         max(self.score_difference, other.score_difference),
                         min(self.worst_iou, other.worst_iou), self.unlike + other.unlike,
                         self.scores + other.scores)

    @property
    def empty(self) -> bool:
        """Whether neither side found anything: nothing was compared."""
        return not self.matched and not self.missing

    def __str__(self) -> str:
        if self.empty:
            return 'nothing found, so nothing compared'
        count = self.matched - len(self.unlike)
        text = (f'{plural(count, "detection")} {agree(count, "agrees", "agree")} '
                f'(scores within {self.score_difference:.1e}, mask IoU at least '
                f'{self.worst_iou:.4f})')
        return '; '.join([text, *self.differences()])

    def sure(self, above: float, within: float) -> tuple[int, int]:
        """How many detections one side is sure of, and how many of them the other side has.

        Args:
            above: Score from which on a side is sure.
            within: By which the scores of a pair may differ.
        """
        pairs = [abs(a - b) <= within for a, b in self.scores if max(a, b) >= above]
        alone = sum(score >= above for _, _, score in self.missing)
        return len(pairs) + alone, sum(pairs)

    def differences(self, scores: float = math.inf) -> list[str]:
        """What is more than rounding, in words; empty if nothing is.

        Args:
            scores: By which those of a pair may differ.
        """
        said = []
        if self.missing:
            side, label, score = self.missing[0]
            said.append(f'{plural(len(self.missing), "detection")} found by one side alone, the '
                        f'first of class {label} with score {score:.3f} by {side}')
        if self.unlike:
            iou, pixels, label, score = min(self.unlike)
            count = len(self.unlike)
            said.append(f'the {agree(count, "mask", "masks")} of {plural(count, "detection")} '
                        f'{agree(count, "differs", "differ")} by more than rounding, at most of '
                        f'class {label} with score {score:.3f}: IoU {iou:.4f}, '
                        f'{plural(pixels, "pixel")}')
        if self.score_difference > scores:
            said.append(f'scores differ by up to {self.score_difference:.1e}, more than '
                        f'{scores:g}')
        return said


@torch.no_grad()
def torch_instances(model: nn.Module, images: Tensor) -> list[dict]:
    """Scores, labels and masks that a detector finds in normalized images, at their size."""
    network = Network(model)
    size = tuple(images.shape[-2:])
    meta = dict(img_shape=size, ori_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0))
    found = network.head.predict_by_feat(
        *network(images), batch_img_metas=[meta] * len(images), rescale=False)
    results = []
    for one in found:
        masks = one.masks
        masks = masks.bool().numpy() if isinstance(masks, Tensor) else masks.astype(bool)
        results.append(dict(scores=one.scores.numpy(), labels=one.labels.numpy(), masks=masks))
    return results


def onnx_instances(session: 'onnxruntime.InferenceSession', images: Tensor, mask_thr: float,
                   fill: str = 'opencv') -> list[dict]:
    """The same of an end-to-end ONNX file that a session of onnxruntime runs.

    Args:
        session: Of the file.
        images: (B, 3, H, W), normalized.
        mask_thr: Probability from which on a pixel is inside.
        fill: How contours become masks, of PolarMask.
    """
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, {'image': images.numpy()})))
    results = []
    for k, labels in enumerate(outputs['labels']):
        held = labels >= 0
        if 'contours' in outputs:
            contours, *holes = (torch.from_numpy(outputs[name][k][held])
                                for name in ('contours', 'holes') if name in outputs)
            masks = contours_to_bitmaps(contours, tuple(images.shape[-2:]), fill,
                                        holes=holes[0] if holes else None).numpy()
        else:
            masks = outputs['masks'][k][held]
            masks = masks > 0 if masks.dtype == np.uint8 else masks > mask_thr
        results.append(dict(scores=outputs['scores'][k][held], labels=labels[held], masks=masks))
    return results


def network_outputs(path: str, model: nn.Module, images: Tensor) -> dict[str, np.ndarray]:
    """What the network inside an ONNX file gives, and the scores, if it is end-to-end, by name.

    Args:
        path: Of a file from :func:`~mmdet_lordre.deployment.onnx.files.export_onnx`.
        model: What was exported.
        images: (B, 3, H, W), normalized.
    """
    import onnx
    import onnxruntime

    file = onnx.load(path)
    given = {output.name for output in file.graph.output}
    names = instances_of(model).raw_names
    file.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file.SerializeToString(), options,
                                           ['CPUExecutionProvider'])
    names = [*names, *(name for name in ('scores',) if name in given)]
    return dict(zip(names, session.run(names, {'image': images.numpy()})))


def compare(ours: list[dict], theirs: list[dict], floor: float = 0.0, margin: float = 1e-3
            ) -> Agreement:
    """Pair detections image by image: equal label, most similar mask.

    Args:
        ours: Detections of each image: ``scores``, ``labels``, ``masks``.
        theirs: The same of the other side.
        floor: Scores below it are left out.
        margin: Nor is one expected to have a partner that lies as near above it.
    """
    total = Agreement()
    for a, b in zip(ours, theirs, strict=True):
        a, b = ({key: values[part['scores'] > floor] for key, values in part.items()}
                for part in (a, b))
        iou, apart = _compared(a['masks'], b['masks'])
        iou = iou * (a['labels'][:, None] == b['labels'])
        # of a few pixels, of which one or two are not the same
        alike = (iou >= _LEAST_IOU) | ((iou > 0) & (apart <= ROUNDED_PIXELS))
        result, left = Agreement(), set(range(len(b['labels'])))
        for i in range(len(a['labels'])):
            # of equal masks the one with the nearest score
            j = max(left, key=lambda j: (round(iou[i, j], 3), -abs(a['scores'][i]
                                                                  - b['scores'][j])), default=None)
            if j is None or not alike[i, j]:
                if a['scores'][i] > floor + margin:
                    result.missing.append(('PyTorch', int(a['labels'][i]), float(a['scores'][i])))
                continue
            left.remove(j)
            result.matched += 1
            result.scores.append((float(a['scores'][i]), float(b['scores'][j])))
            result.worst_iou = min(result.worst_iou, float(iou[i, j]))
            if iou[i, j] < MASK_IOU and apart[i, j] > ROUNDED_PIXELS:
                result.unlike.append((float(iou[i, j]), int(apart[i, j]), int(a['labels'][i]),
                                      float(a['scores'][i])))
            result.score_difference = max(result.score_difference,
                                          abs(float(a['scores'][i] - b['scores'][j])))
        result.missing += [('onnxruntime', int(b['labels'][j]), float(b['scores'][j])) for j in left
                           if b['scores'][j] > floor + margin]
        total = total + result
    return total


def _compared(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU and pixels that differ, (n, m); two empty masks are equal."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b))), np.zeros((len(a), len(b)))
    a, b = (part.reshape(len(part), -1).astype(np.float32) for part in (a, b))
    common = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1) - common
    return np.where(union > 0, common / np.maximum(union, 1), 1.0), union - common


def score_floor(head: nn.Module) -> float:
    """The lowest score that a head reports, with room for rounding at its threshold."""
    cfg = head.test_cfg
    return float(cfg.get('filter_thr') or cfg.get('score_thr') or 0.0)

