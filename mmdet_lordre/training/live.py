"""Watching a training from elsewhere: TensorBoard, MLflow, Weights & Biases."""
import importlib.util
import os

from mmdet.registry import VISBACKENDS
from mmengine.config import Config, ConfigDict
from mmengine.visualization import WandbVisBackend

from ..config.reading import type_name
from ..errors import UserError

#: Package that each option needs.
PACKAGES = dict(tensorboard='tensorboard', mlflow='mlflow', wandb='wandb')


def demand_packages(tensorboard: bool, mlflow: bool, wandb: str | None) -> None:
    """See that what will be written for is there.

    Args:
        tensorboard, mlflow, wandb: As of :func:`add_backends`.

    Raises:
        UserError: A package is missing.
    """
    wanted = dict(tensorboard=tensorboard, mlflow=mlflow, wandb=bool(wandb))
    for option, package in PACKAGES.items():
        if wanted[option] and importlib.util.find_spec(package) is None:
            raise UserError(f'--{option} needs the package {package}: pip install {package}')


def add_backends(cfg: Config, tensorboard: bool = False, mlflow: bool = False,
                 wandb: str | None = None) -> None:
    """Let the visualizer of a config also write for other programs, all in the work folder.

    Args:
        cfg: Changed in place.
        tensorboard, mlflow: Whether these are written for.
        wandb: 'offline' writes a run that ``wandb sync`` sends later, 'online' sends it now.
    """
    name = os.path.basename(os.path.abspath(cfg.work_dir))
    backends = []
    if tensorboard:
        backends.append(dict(type='TensorboardVisBackend'))
    if mlflow:
        # mlflow's newer versions ask for a database where it is not said that files will do
        os.environ.setdefault('MLFLOW_ALLOW_FILE_STORE', 'true')
        backends.append(dict(type='MLflowVisBackend', exp_name=name,
                             save_dir=os.path.join(cfg.work_dir, 'mlruns'),
                             tracked_config_keys=[]))
    if wandb:
        backends.append(dict(type='WandbBackend', init_kwargs=dict(
            project='mmdet_lordre', name=name, mode=wandb)))
    if not backends:
        return
    visualizer = cfg.get('visualizer') or ConfigDict(type='MaskVisualizer', name='visualizer')
    there = list(visualizer.get('vis_backends') or [dict(type='LocalVisBackend')])
    kinds = {type_name(backend) for backend in there}
    visualizer['vis_backends'] = there + [b for b in backends if b['type'] not in kinds]
    cfg.visualizer = visualizer


@VISBACKENDS.register_module()
class WandbBackend(WandbVisBackend):
    """mmengine's, which calls a function at the end that newer versions of wandb do not have.

    The code of the working folder stays where it is.
    """

    def add_config(self, config: Config, **kwargs) -> None:
        self.experiment.config.update(config.to_dict(), allow_val_change=True)

    def close(self) -> None:
        if hasattr(self, '_wandb'):
            self._wandb.finish()
