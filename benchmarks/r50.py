"""The R-50 configuration of each method that the benchmarks of all methods run."""
from pathlib import Path

_CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
CONFIGS = dict(
    lordre=_CONFIGS / 'lordre/lordre_r50_giam_8xb8-270k_coco.py',
    solov2=_CONFIGS / 'solov2/solov2_r50_fpn_1x_coco.py',
    aggmask=_CONFIGS / 'aggmask/aggmask_r50_fpn.py',
    aggmask_star=_CONFIGS / 'aggmask/aggmask_star_r50_fpn.py',
    polarmask=_CONFIGS / 'polarmask/polarmask_r50-caffe_fpn_gn-head_1x_coco.py')
#: The padded size of the input in its published test, (height, width).
SIZES = dict(lordre=(640, 864), solov2=(800, 1344), aggmask=(800, 1344), aggmask_star=(800, 1344),
             polarmask=(768, 1280))
_CLASS_LAYERS = ('conv_cls', 'solo_cate', 'polar_cls')


def random_model(path, images, candidates=100):
    """A model with random weights of which about ``candidates`` cells or points pass."""
    import torch
    from mmdet.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from mmdet_lordre.deployment.network import Network
    from mmdet_lordre.models import head_of
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    torch.manual_seed(0)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    head = head_of(model)
    head.init_weights()
    layer = next((getattr(head, name) for name in _CLASS_LAYERS if hasattr(head, name)), None)
    if layer is None:
        return model  # Lordre has a hundred instances anyway
    torch.nn.init.normal_(layer.weight, std=0.05)
    found = []
    hook = layer.register_forward_hook(lambda *call: found.append(call[2].flatten(2)))
    with torch.no_grad():
        Network(model)(images)
        hook.remove()
        best = torch.cat(found, dim=2).amax(dim=1).flatten()
        threshold = torch.tensor(float(head.test_cfg['score_thr'])).logit()
        layer.bias += threshold - best.sort(descending=True).values[candidates]
    return model
