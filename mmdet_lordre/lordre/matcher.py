"""One-to-one matching of predicted and true masks."""
import numpy as np
import torch
from mmdet.registry import TASK_UTILS
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ..masks import upload


@TASK_UTILS.register_module()
class LordreMatcher:
    """Pairs predictions and ground truths of a batch by dice and class (SparseInst, CVPR 2022).

    The quality of a pair is ``dice ** alpha * class_probability ** beta``, and the Hungarian
    method finds, image by image, the pairing with the largest sum. The qualities of the whole
    batch go to the CPU in one copy.

    Args:
        alpha: Exponent of the dice score.
        beta: Exponent of the class probability.
    """

    def __init__(self, alpha: float = 0.8, beta: float = 0.2):
        self.alpha, self.beta = alpha, beta
        # here and not by a decorator: it imports torch's compiler, which only models need
        global _assign
        if _assign is assign:
            _assign = torch.compiler.disable(assign)

    @torch.no_grad()
    def quality(self, class_logits: Tensor, mask_probs: Tensor, labels: Tensor,
                targets: Tensor) -> Tensor:
        """Quality of every pair of one image, in float32.

        Args:
            class_logits: (N, num_classes).
            mask_probs: Mask probabilities (N, pixels).
            labels: Classes of the ground truths, (T,).
            targets: Target masks (T, pixels) in [0, 1].

        Returns:
            FloatTensor (N, T).
        """
        with torch.autocast(mask_probs.device.type, enabled=False):
            mask_probs, targets = mask_probs.float(), targets.float()
            energy = mask_probs.square().sum(-1)[:, None] + targets.square().sum(-1)
            dice = 2 * (mask_probs @ targets.t()) / (energy + 1e-4)
            probability = class_logits.float()[:, labels].sigmoid()
            return dice**self.alpha * probability**self.beta

    @torch.no_grad()
    def __call__(self, class_logits, mask_probs, labels, targets, names=None):
        """Match every image of a batch.

        Args:
            class_logits: (B, N, num_classes).
            mask_probs: (B, N, pixels).
            labels: B tensors (T_i,).
            targets: B tensors (T_i, pixels).
            names: B names of the images, for the error below.

        Returns:
            B pairs of LongTensors (prediction, ground truth), each of length min(N, T_i), sorted
            by prediction.

        Raises:
            FloatingPointError: If a prediction is NaN or infinite, naming the image.
        """
        qualities = [self.quality(*image)
                     for image in zip(class_logits, mask_probs, labels, targets)]
        return _assign(qualities, names)


def assign(qualities: list[Tensor], names: list[str] | None) -> list[tuple[Tensor, Tensor]]:
    """The Hungarian method for a batch; it runs on the CPU, outside of any graph.

    Args:
        qualities: B tensors (N, T_i).
        names: B names of the images, for the error.

    Returns:
        See :meth:`LordreMatcher.__call__`.

    Raises:
        FloatingPointError: NaN or infinite values, naming the image.
    """
    counts = [q.shape[1] for q in qualities]
    matrices = np.split(torch.cat(qualities, dim=1).cpu().numpy(), np.cumsum(counts)[:-1], axis=1)
    pairs = []
    for index, matrix in enumerate(matrices):
        if not np.isfinite(matrix).all():
            name = names[index] if names else f'number {index} of the batch'
            raise FloatingPointError(
                f'the predictions for image {name} hold NaN or infinite values: lower the '
                'learning rate, clip gradients, or train without half precision')
        pairs.append(linear_sum_assignment(matrix, maximize=True))
    flat = torch.as_tensor(np.concatenate([np.stack(pair) for pair in pairs], axis=1))
    flat = upload(flat, qualities[0].device)
    sizes = [len(pair[0]) for pair in pairs]
    return list(zip(flat[0].split(sizes), flat[1].split(sizes)))


#: :func:`assign`, kept out of compiled graphs once there is a matcher.
_assign = assign
