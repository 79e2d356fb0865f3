"""Validation and test of models for large pictures: tile by tile, as they predict."""
from collections.abc import Sequence

import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import LOOPS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.runner import TestLoop, ValLoop
from mmengine.runner.amp import autocast
from torch import nn

from ..errors import UserError
from ..masks import MaskInstances, upload
from .pictures import BrokenPictureError, Picture
from .settings import Settings
from .tiles import TiledStream, windows_of

#: Pictures whose tiles are counted.
_PICTURES = 50


class OnlyTheName(BaseTransform):
    """In place of a pipeline: a picture that is read by whoever cuts it."""

    def transform(self, results: dict) -> dict:
        """``inputs`` without pixels, and ``data_samples`` that says where the picture lies."""
        meta = {key: results[key] for key in ('img_id', 'img_path', 'height', 'width')
                if key in results}
        if 'height' in meta:
            meta['ori_shape'] = (meta['height'], meta['width'])
        return dict(inputs=torch.zeros(0), data_samples=DetDataSample(metainfo=meta))


class TiledPredictor:
    """A model that fills data samples with what it finds in tiles of their pictures.

    Args:
        model: In training or not.
        cfg: Whose test pipeline is that of the tiles.
        meta: ``classes`` of the data.
        tile: Side of the tiles in pixels of the file.
        overlap: Share of a tile that it has in common with the next one.
    """

    def __init__(self, model: nn.Module, cfg: Config, meta: dict, tile: int,
                 overlap: float = 0.2) -> None:
        model.cfg, model.dataset_meta = cfg, meta
        self.device = next(model.parameters()).device
        self.stream = TiledStream(model, Settings(score_thr=0, tile=int(tile), overlap=overlap))

    def __call__(self, sample: DetDataSample) -> DetDataSample:
        """The sample with ``pred_instances``.

        Raises:
            BrokenPictureError: The picture cannot be read.
        """
        result = self.stream.predict(Picture(str(sample.img_id), 0, sample.img_path))
        sample.set_metainfo(dict(ori_shape=result.size, img_shape=result.size))
        sample.pred_instances = MaskInstances(masks=result.masks, **{
            name: upload(torch.as_tensor(getattr(result, name)), self.device)
            for name in ('scores', 'labels')},
            bboxes=upload(torch.as_tensor(result.boxes), self.device))
        return sample


class _Tiled:
    """What both loops do with a batch; see :class:`TiledValLoop`."""

    def __init__(self, *args, tile: int, overlap: float = 0.2, **kwargs):
        super().__init__(*args, **kwargs)
        self.tile, self.overlap = int(tile), overlap
        # the pictures are read tile by tile: their pipeline is that of the tiles
        self.dataloader.dataset.pipeline = OnlyTheName()
        self._predictor = None

    @property
    def inputs(self) -> float:
        """Images that the network is given, by the tiles of some of the pictures."""
        data = self.dataloader.dataset
        some = range(0, len(data), max(1, -(-len(data) // _PICTURES)))
        tiles = [len(windows_of((info.get('height') or self.tile, info.get('width') or self.tile),
                                self.tile, self.overlap)) for info in map(data.get_data_info, some)]
        return len(data) * sum(tiles) / max(1, len(tiles))

    @property
    def predictor(self) -> TiledPredictor:
        """With the model as it is now."""
        if self._predictor is None:
            runner = self.runner
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            self._predictor = TiledPredictor(model, _with_tests(runner.cfg),
                                             self.dataloader.dataset.metainfo, self.tile,
                                             self.overlap)
        return self._predictor

    def _predicted(self, sample):
        try:
            return self.predictor(sample)
        except BrokenPictureError as error:  # figures without it are of other data
            raise UserError(f'{sample.img_path}: {error}') from error

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict[str, Sequence]) -> None:
        """Predict the pictures of a batch, and evaluate them."""
        self.runner.call_hook(f'before_{self.mode}_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(enabled=self.fp16):
            samples = [self._predicted(sample) for sample in data_batch['data_samples']]
        self.evaluator.process(data_samples=samples, data_batch=data_batch)
        self.runner.call_hook(f'after_{self.mode}_iter', batch_idx=idx, data_batch=data_batch,
                              outputs=samples)


def _with_tests(cfg: Config) -> Config:
    """A config whose pipeline of tests is there, also where only the validation has one."""
    if not cfg.get('test_dataloader'):
        cfg = Config(dict(cfg, test_dataloader=cfg.val_dataloader))
    return cfg


@LOOPS.register_module()
class TiledValLoop(_Tiled, ValLoop):
    """Validate on whole pictures, cut into tiles and put together again.

    A model that was trained on crops of large pictures is judged by what ``lordre predict`` makes
    of them. The pipeline of the data set is that of the tiles.

    Args:
        tile: Side of the tiles in pixels of the file.
        overlap: Share of a tile that it has in common with the next one.
        fp16: Whether the network computes in half precision.
    """

    mode = 'val'


@LOOPS.register_module()
class TiledTestLoop(_Tiled, TestLoop):
    """The same for tests: see :class:`TiledValLoop`."""

    mode = 'test'
