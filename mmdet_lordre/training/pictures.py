"""Pictures of test results, one file an image."""
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import get
from mmengine.runner import Runner

from ..errors import UserError
from ..files import refuse_overwriting


@HOOKS.register_module()
class PicturesHook(DetVisualizationHook):
    """mmdet's hook, whose pictures do not write over each other.

    Images of one name in several folders keep the folders that tell them apart.

    Args:
        overwrite: Whether pictures that are there already may be replaced; an image that is
            tested on never is.
        kwargs: As in mmdet's ``DetVisualizationHook``.
    """

    def __init__(self, *args: Any, overwrite: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.overwrite = overwrite

    def before_test(self, runner: Runner) -> None:
        """Find the names of the pictures.

        Raises:
            UserError: One is there already; in all processes, before anything is drawn.
        """
        dataset = runner.test_dataloader.dataset
        self._names = picture_names([dataset.get_data_info(i)['img_path']
                                     for i in range(len(dataset))]
                                    if hasattr(dataset, 'get_data_info') else [])
        found = [None]
        if self.test_out_dir and is_main_process():
            try:
                self._refuse_overwriting()
            except UserError as error:
                found = [error]
        broadcast_object_list(found)
        if found[0] is not None:
            raise found[0]

    def _refuse_overwriting(self):
        refuse_overwriting((os.path.join(self.test_out_dir, name)
                            for name in self._names.values()), self.overwrite, self._names)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict,
                        outputs: Sequence[DetDataSample]) -> None:
        """Draw the results of a batch."""
        if not self.draw:
            return
        for sample in outputs:
            self._test_index += 1
            path = sample.img_path
            image = mmcv.imfrombytes(get(path, backend_args=self.backend_args),
                                     channel_order='rgb')
            name = self._names.get(path, os.path.basename(path))
            self._visualizer.add_datasample(
                os.path.basename(path) if self.show else 'test_img', image, data_sample=sample,
                show=self.show, wait_time=self.wait_time, pred_score_thr=self.score_thr,
                out_file=os.path.join(self.test_out_dir, name) if self.test_out_dir else None,
                step=self._test_index)


def picture_names(paths: Sequence[str]) -> dict[str, str]:
    """A name for the picture of each image: its own, or with its folders where two have the same.

    Args:
        paths: Of the images.
    """
    counts = Counter(os.path.basename(path) for path in set(paths))
    shared = {path for path in paths if counts[os.path.basename(path)] > 1}
    top = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in shared]) \
        if shared else ''
    return {path: os.path.relpath(os.path.abspath(path), top) if path in shared
            else os.path.basename(path) for path in paths}
