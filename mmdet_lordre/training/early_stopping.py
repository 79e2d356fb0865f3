"""Early stopping that an interruption does not begin anew."""
from mmdet.registry import HOOKS
from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import Runner


@HOOKS.register_module()
class KeptEarlyStoppingHook(EarlyStoppingHook):
    """mmengine's hook, with the best score and the patience that is used up in checkpoints."""

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
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info(self._key, [float(self.best_score), self.wait_count])

    @property
    def _key(self) -> str:
        return f'early_stopping_{self.monitor}'
