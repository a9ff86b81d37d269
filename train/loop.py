"""The training loop. It decides when to evaluate, log, save and stop; other modules do it."""

from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from supervisor.checkpoint.format import Kind
from supervisor.worker import Worker
from train.batch import count_tokens, loss_on, move_batch
from train.checkpointing import Checkpoints, SaveFailed
from train.config import NonFinite, TrainConfig
from train.data import TrainingData
from train.errors import StopRequested, TrainingError
from train.evaluation import evaluate
from train.log import Log, Speedometer, StepReport, counted
from train.metrics import Metrics, StepMetrics
from train.state import AUTOCAST_DTYPES, Position, TrainingState


class Trainer:
    """One start of the trainer, from a position in the data to the end or to a stop."""

    def __init__(
        self,
        config: TrainConfig,
        state: TrainingState,
        data: TrainingData,
        checkpoints: Checkpoints,
        metrics: Metrics,
        run: Worker,
        log: Log,
    ) -> None:
        self.config = config
        self.state = state
        self.data = data
        self.checkpoints = checkpoints
        self.metrics = metrics
        self.run = run
        self.log = log
        self.speed = Speedometer()
        self.has_compiled = not config.training.compile
        self.compute: Any = state.model
        if config.training.compile:
            self.compute = torch.compile(state.model, backend=config.training.compile_backend)
        self.last_step = self._last_step()

    def train(self) -> None:
        """Train to the end and save the result. Raises SystemExit(75) if a stop was requested.

        Raises TrainingError if the last save fails, FloatingPointError on a non-finite loss.
        """
        try:
            self._train_or_leave()
        finally:
            self.checkpoints.close()

    def _train_or_leave(self) -> None:
        step = self.state.position.step
        # a state that was resumed from a snapshot in memory still has to reach the disk
        if self.is_finished and self.checkpoints.last_step == step:
            self.log.say(f"nothing left to do: {counted(step, 'step')} done")
            self.run.finish(self.checkpoints.last, step)
            return
        try:
            if self.state.evaluation_due:
                self._evaluate()
            while not self.is_finished:
                self._train_epoch()
        except StopRequested:
            self._leave()
        self.checkpoints.drain()
        path = self._save_now(Kind.FINAL)
        self.checkpoints.prune()
        self.log.say(f"finished: step {self.state.position.step}, {path}")
        self.run.finish(path, self.state.position.step)

    @property
    def is_finished(self) -> bool:
        """Whether all configured steps or epochs are done."""
        position, training = self.state.position, self.config.training
        return position.epoch >= training.epochs or position.step >= self.last_step

    def _train_epoch(self) -> None:
        batches = self.data.epoch(self.state.position.epoch, self.state.position.batch)
        while micro_batches := list(islice(batches, self.config.training.accumulation)):
            if self.run.should_stop:
                raise StopRequested
            self._step(micro_batches)
            position = self.state.position
            if _is_due(position.step, self.config.evaluation.steps):
                self.state.evaluation_due = True
                self._evaluate()
            if _is_due(position.step, self.config.log.every) or self.is_finished:
                self._report()
            if self.is_finished:
                return
            is_snapshot_due = self.checkpoints.is_snapshot_due()
            if self.checkpoints.is_save_due():
                self._save(Kind.PERIODIC)
            elif position.batch == 0 and self.config.checkpoints.every_epoch:
                self._save(Kind.EPOCH)
            elif is_snapshot_due:
                self._snapshot()
            self.checkpoints.tell_news()

    def _step(self, micro_batches: list[Any]) -> None:
        """One optimizer step over all micro-batches."""
        state, scaler = self.state, self.state.scaler
        loss = torch.zeros((), device=state.device)
        tokens = 0
        with nullcontext() if self.has_compiled else self.run.phase("compile"):
            for batch in micro_batches:
                part = self._forward(self.compute, batch) / len(micro_batches)
                self._stop_if_compiling()
                torch.autograd.backward(part if scaler is None else scaler.scale(part))
                self._stop_if_compiling()
                loss += part.detach()
                tokens += count_tokens(batch)
        self.has_compiled = True
        if scaler is not None:
            scaler.unscale_(state.optimizer)
        grad_norm = self._clip()
        rate = state.schedule.apply(state.optimizer)
        if scaler is None:
            state.optimizer.step()
        else:
            scaler.step(state.optimizer)
            scaler.update()
        state.optimizer.zero_grad(set_to_none=True)
        state.schedule.advance()
        if state.ema is not None:
            state.ema.update()
        epoch = state.position.epoch
        state.position = self._next_position(len(micro_batches))
        step = state.position.step
        self.metrics.add(StepMetrics(step, epoch, loss, rate, grad_norm))
        self.speed.count(tokens)
        # this loss may be of an earlier step: the newest one may still be on the device
        self.run.beat(step=step, epoch=epoch, loss=self.metrics.last.get("loss", float("nan")))

    def _forward(self, model: Any, batch: Any) -> Tensor:
        batch = move_batch(batch, self.state.device)
        dtype = AUTOCAST_DTYPES.get(self.config.training.precision)
        with torch.autocast(self.state.device.type, dtype=dtype, enabled=dtype is not None):
            return loss_on(model, batch)

    def _stop_if_compiling(self) -> None:
        # Compiling can take longer than the grace. Before the first step the state is unchanged, so
        # the step is given up. Any later step is finished.
        if not self.has_compiled and self.run.should_stop:
            raise StopRequested

    def _clip(self) -> Tensor:
        limit = self.config.optimizer.clip_norm
        return torch.nn.utils.clip_grad_norm_(self.state.model.parameters(), limit or float("inf"))

    def _next_position(self, batches: int) -> Position:
        now = self.state.position
        batch = now.batch + batches
        if batch + self.data.accumulation > self.data.batches_per_epoch:
            return Position(now.step + 1, now.epoch + 1, 0)
        return Position(now.step + 1, now.epoch, batch)

    def _evaluate(self) -> None:
        self.speed.pause()
        with self.run.phase("eval"):
            batches = self.data.validation(self.config.evaluation.batches)
            loss = evaluate(self.state, batches, self._forward, self.run)
        self.state.evaluation_due = False
        self.speed.go_on()
        if loss is None:
            return
        step = self.state.position.step
        self.log.say(f"evaluated at step {step}: val_loss {loss:.4f}")
        self.metrics.amend(step, val_loss=loss)

    def _report(self) -> None:
        self._collect_metrics()
        steps_per_s, tokens_per_s = self.speed.read()
        left = self.last_step - self.state.position.step
        report = StepReport(
            step=self.state.position.step,
            last_step=self.last_step,
            epoch=self.metrics.last["epoch"],
            loss=self.metrics.last["loss"],
            learning_rate=self.metrics.last["learning_rate"],
            grad_norm=self.metrics.last["grad_norm"],
            tokens_per_s=tokens_per_s,
            eta_s=left / steps_per_s if left > 0 and steps_per_s > 0 else None,
        )
        self.log.say(report.line())
        self._write_metrics()

    def _write_metrics(self) -> None:
        try:
            self.metrics.write()
        except OSError as error:
            # the lines stay in memory, and are written with the next try
            self.log.warn(f"{self.metrics.path} cannot be written: {error}")

    def _collect_metrics(self) -> None:
        """Fetch the losses before a save: a run whose loss is not finite must save nothing.

        Raises FloatingPointError then, unless the config says `warn`.
        """
        self.metrics.collect()
        step = self.metrics.first_non_finite
        if step is None:
            return
        self.metrics.first_non_finite = None
        if self.config.training.non_finite is NonFinite.RAISE:
            raise FloatingPointError(f"non-finite loss at step {step}")
        self.log.warn(f"non-finite loss at step {step}")

    def _snapshot(self) -> None:
        """Put the present state into memory.

        A resume from it needs the metrics on the disk, too.
        """
        self._collect_metrics()
        self._write_metrics()
        self.checkpoints.snapshot()

    def _save(self, kind: Kind) -> None:
        """Save the present state. Training goes on even if the disk does not take it."""
        self._collect_metrics()
        self._write_metrics()
        self.speed.pause()
        try:
            self.checkpoints.save(kind)
        except SaveFailed as error:
            self.log.say(str(error))
        self.speed.go_on()

    def _save_now(self, kind: Kind) -> Path:
        """Save; returns once the state is on the disk, since the run ends now.

        Raises TrainingError if the disk does not take it.
        """
        self._collect_metrics()
        self._write_metrics()
        try:
            return self.checkpoints.save_now(kind)
        except SaveFailed as error:
            raise TrainingError(str(error)) from error

    def _leave(self) -> None:
        """Save unless the newest checkpoint is of the present step, and exit with 75."""
        step = self.state.position.step
        if self.checkpoints.is_on_its_way:
            self.checkpoints.drain()
        if step != self.checkpoints.last_step:
            self.log.say(f"stop requested: saving at step {step}")
            self._save_now(Kind.EMERGENCY)
        path = self.checkpoints.last
        self.log.say(f"stopped on request at step {step}, resume from {path or 'the beginning'}")
        self.run.exit_preempted(path, step)

    def _last_step(self) -> int:
        """The step at which training ends, counted from the present position.

        The epochs before the checkpoint may have had another number of steps.
        """
        training, position = self.config.training, self.state.position
        left = max(0, training.epochs - position.epoch) * self.data.steps_per_epoch
        last = position.step + max(0, left - position.batch // self.data.accumulation)
        return last if training.max_steps is None else min(last, training.max_steps)


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
