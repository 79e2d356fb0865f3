"""What the grid methods share: cell and mask targets, their losses, points and Matrix NMS."""
from .cells import CellTargets, cell_targets
from .class_loss import class_loss
from .coordinates import coordinate_maps
from .detect import Candidates, Detected, detect, find_candidates
from .dice import chunked_sum, dice_losses, kernel_dice
from .ground_truths import GridMasks, GroundTruths, collect_ground_truths, read_masks
from .masks import mask_moments, mass_centers, moment_sums, shrink_masks
from .nms import matrix_nms, points_nms
from .transform import GridMaskTargets

__all__ = ['Candidates', 'CellTargets', 'Detected', 'GridMaskTargets', 'GridMasks', 'GroundTruths',
           'cell_targets', 'chunked_sum', 'class_loss', 'collect_ground_truths', 'coordinate_maps',
           'detect', 'dice_losses', 'find_candidates', 'kernel_dice', 'mask_moments',
           'mass_centers', 'matrix_nms', 'moment_sums', 'points_nms', 'read_masks', 'shrink_masks']
