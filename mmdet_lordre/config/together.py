"""What a config must have all of, or nothing: images, the loop over them, what is done there."""
from collections.abc import Sequence

from mmengine.config import Config

from ..errors import UserError

#: Keys that need each other, by part of the data, and what may stand there.
_TOGETHER = dict(
    train=dict(train_dataloader='', train_cfg="dict(type='EpochBasedTrainLoop', max_epochs=12)",
               optim_wrapper="dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4))"),
    val=dict(val_dataloader='', val_cfg="dict(type='ValLoop')",
             val_evaluator="dict(type='CocoMaskMetric', ann_file=..., metric='segm')"),
    test=dict(test_dataloader='', test_cfg="dict(type='TestLoop')",
              test_evaluator="dict(type='CocoMaskMetric', ann_file=..., metric='segm')"))


def check_together(cfg: Config, name: str, splits: Sequence[str] = tuple(_TOGETHER),
                   needed: str | None = None) -> None:
    """Refuse a config with a part of what training, validation or testing needs.

    Args:
        cfg: Complete.
        name: Of the config, for the message.
        splits: Of 'train', 'val' and 'test': what to look at.
        needed: The one that must be there; the others may be left out.

    Raises:
        UserError: Naming the key that is missing and what to set.
    """
    for split in splits:
        keys = _TOGETHER[split]
        there = [key for key in keys if cfg.get(key) is not None]
        absent = [key for key in keys if key not in there]
        if not absent or (not there and split != needed):
            continue
        key = absent[0]
        remedy = f'set {key}={keys[key]}' if keys[key] else \
            f'inherit one from a config of configs/_base_, or set {key}=dict(dataset=...)'
        if split != needed:
            remedy += f', or {", ".join(there)} to None, too, to do without'
        raise UserError(f'{name}: {key} is missing (or None)'
                        + (f' beside {" and ".join(there)}' if there else '') + f': {remedy}')
