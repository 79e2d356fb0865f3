"""Pictures of test results, one file an image."""
import os
from collections import Counter
from collections.abc import Sequence

import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.fileio import get
from mmengine.runner import Runner


@HOOKS.register_module()
class PicturesHook(DetVisualizationHook):
    """mmdet's hook, whose pictures do not write over each other.

    Images of one name in several folders keep the folders that tell them apart.
    """

    def before_test(self, runner: Runner) -> None:
        """Find the names of the pictures."""
        dataset = runner.test_dataloader.dataset
        self._names = picture_names([dataset.get_data_info(i)['img_path']
                                     for i in range(len(dataset))]
                                    if hasattr(dataset, 'get_data_info') else [])

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
