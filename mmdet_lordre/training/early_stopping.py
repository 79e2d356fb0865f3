"""Early stopping that an interruption does not begin anew."""
from mmdet.registry import HOOKS
from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import Runner


@HOOKS.register_module()
class KeptEarlyStoppingHook(EarlyStoppingHook):
    """mmengine's hook, with the best score and the patience that is used up in checkpoints.

    Args:
        counts_from: Score up to which no patience is used up: what has hardly begun to learn does
            not stand still.
        options: Of mmengine's hook.
    """

    def __init__(self, *, counts_from: float | None = None, **options) -> None:
        super().__init__(**options)
        self.counts_from = self.best_score if counts_from is None else counts_from

    def before_train(self, runner: Runner) -> None:
        """Go on with what a checkpoint says; it may have been the end already."""
        kept = runner.message_hub.runtime_info.get(self._key) if runner.iter else None
        if not kept:
            return
        self.best_score, self.wait_count = kept
        reached = self.stopping_threshold is not None and self.rule_map[self.rule](
            self.best_score, self.stopping_threshold)
        if reached or self.wait_count >= self.patience:
            runner.train_loop.stop_training = True
            runner.logger.warning(f'nothing is left to train: it was stopped early, with '
                                  f'{self.monitor} {self.best_score:.3f}')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Decide, and keep what the next decision depends on."""
        if not self.rule_map[self.rule](self.best_score, self.counts_from):
            self.wait_count = -1  # this one counts as none
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info(self._key, [float(self.best_score), self.wait_count])

    @property
    def _key(self) -> str:
        return f'early_stopping_{self.monitor}'
