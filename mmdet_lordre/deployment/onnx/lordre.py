"""Lordre from image to instances as one graph."""
from torch import Tensor, nn

from .graph import best, enlarge, mark_empty, masks_of, occupied, sums_inside, take


class LordreInstances(nn.Module):
    """What ``predict_by_feat`` of Lordre's heads does, for a batch and at the size of the input.

    Args:
        head: A ``LordreHead`` or ``LordrePlaceHead``.
        binary: Masks as uint8 of 0 and 1, else as probabilities.
    """

    raw_names = ('class_logits', 'objectness', 'mask_logits', 'activation_maps')
    names = ('scores', 'labels', 'masks')

    def __init__(self, head: nn.Module, binary: bool = True):
        super().__init__()
        self.head, self.binary = head, binary

    def forward(self, outputs: tuple[Tensor, ...], size: tuple) -> tuple[Tensor, ...]:
        """From the outputs of the head's ``decode``, in float32, to instances.

        Args:
            outputs: Class logits, objectness, mask logits, activation maps.
            size: (height, width) of the input.

        Returns:
            Scores (B, n), labels (B, n) and masks (B, n, height, width).
        """
        class_logits, objectness, mask_logits, _ = outputs
        cfg = self.head.test_cfg
        scores, labels = self.head.scores(class_logits, objectness).max(dim=-1)
        index, held = occupied(scores > cfg['score_thr'])
        probs = self.head.upsample(take(mask_logits, index)).sigmoid()
        _, areas, sums = sums_inside(probs, cfg['mask_thr'])
        scores = take(scores, index) * held * (sums / (areas + 1e-6))
        labels = mark_empty(take(labels, index), held)
        if cfg['max_per_img'] is not None:
            scores, order = best(scores, cfg['max_per_img'])
            labels, probs = take(labels, order), take(probs, order)
        return scores, labels, masks_of(enlarge(probs, size, size), cfg['mask_thr'], self.binary)

