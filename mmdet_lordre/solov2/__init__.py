"""SOLOv2: dynamic kernels on a grid."""
from .feature_branch import SOLOv2FeatureBranch
from .head import SOLOv2KernelHead
from .window_head import SOLOv2WindowHead

__all__ = ['SOLOv2FeatureBranch', 'SOLOv2KernelHead', 'SOLOv2WindowHead']
