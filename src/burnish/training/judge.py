"""The judge beside a training: measures the model on dev data, keeps the best weights, stops early."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState

from burnish import atomic
from burnish.training import processes

_POINTS = "points.json"
_BEST = "best"


class Judge(TrainerCallback):
    """Measures the model on dev data, keeps the best weights, stops early; all of it survives a kill.

    Of processes that train together the first measures and writes; all know the points, and so stop together.
    The state lies in one file beside the trainer's checkpoints, written before each of them: a run that resumes finds both.
    """

    def __init__(
        self,
        before: dict[str, float],
        measure: Callable[[SentenceTransformer], dict[str, float]],
        folder: Path,
        every: int,
        patience: int,
    ) -> None:
        self.before, self.measure, self.folder, self.every, self.patience = before, measure, folder, every, patience
        self.points: list[dict[str, float]] = []

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Take up the points before the checkpoint that training resumes from, or begin with the untrained model's."""
        self.take_up(state.global_step)
        if not self.points:
            self._take(kwargs["model"], 0, self.before)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:  # noqa: ARG002
        """Measure at every `every`-th step and the last; stop after `patience` measures without a better one."""
        last = state.global_step >= state.max_steps
        if last or (state.global_step % self.every == 0 and state.max_steps - state.global_step >= self.every // 2):
            self._take(kwargs["model"], state.global_step, processes.shared(lambda: self.measure(kwargs["model"])))
            kwargs["model"].train()
            since = sum(point["step"] > self._best()["step"] for point in self.points)
            control.should_training_stop = control.should_training_stop or since >= self.patience

    def take_up(self, last_step: float) -> None:
        """The points that an earlier run took, up to `last_step`."""
        path = self.folder / _POINTS
        known = processes.shared(lambda: json.loads(path.read_text(encoding="utf-8")) if path.is_file() else [])
        self.points = [point for point in known if point["step"] <= last_step]

    def best_weights(self, model: SentenceTransformer) -> dict[str, Tensor]:
        """The weights of the best measure; of equal ones the latest."""
        weights = load_file(str(self.folder / f"{_BEST}-{self._best()['step']:.0f}.safetensors"))
        return {name: weights[name].to(value.device) for name, value in model.state_dict().items()}

    def best_measures(self) -> dict[str, float]:
        """The best measure, by name."""
        return {name: value for name, value in self._best().items() if name != "step"}

    def _best(self) -> dict[str, float]:
        return max(self.points, key=lambda point: (point["score"], point["step"]))

    def _take(self, model: SentenceTransformer, step: int, measures: dict[str, float]) -> None:
        self.points.append({"step": step, **measures})
        if not processes.first():
            return
        if self._best()["step"] == step:
            weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
            with atomic.file(self.folder / f"{_BEST}-{step}.safetensors") as temporary:
                save_file(weights, str(temporary))
        atomic.write_json(self.folder / _POINTS, self.points, digits=30)
