"""What the grid methods share: cell and mask targets, their losses, points and Matrix NMS."""
from .cells import CellTargets, cell_targets
from .dice import chunked_sum, dice_losses, kernel_dice
from .masks import mask_moments, shrink_masks
from .nms import matrix_nms, points_nms

__all__ = ['CellTargets', 'cell_targets', 'chunked_sum', 'dice_losses', 'kernel_dice',
           'mask_moments', 'matrix_nms', 'points_nms', 'shrink_masks']
