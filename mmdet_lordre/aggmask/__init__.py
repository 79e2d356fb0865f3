"""AggMask and AggMask*: neighboring masks, aggregated."""
from .head import AggMaskHead
from .star_head import AggMaskStarHead

__all__ = ['AggMaskHead', 'AggMaskStarHead']
