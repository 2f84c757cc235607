"""A script that does something in several processes, as stages/train.py does; test_launch.py runs it."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from burnish.errors import InputError
from burnish.training import launch, processes

ROWS = 13


def train(base: Path, out: Path, job: dict[str, Any]) -> None:
    """Train the model in `base` by a few rows; write weights, curve, and the rows that this process was given."""
    import numpy as np  # noqa: PLC0415 (other works need none of this)
    from safetensors.torch import save_file  # noqa: PLC0415
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss  # noqa: PLC0415

    from burnish.embedding import encoding, models  # noqa: PLC0415
    from burnish.training import trainer  # noqa: PLC0415
    from burnish.training.masks import FalseNegatives, Suspicion  # noqa: PLC0415
    from burnish.training.rows import TrainingSet  # noqa: PLC0415
    from burnish.training.trainer import Recipe  # noqa: PLC0415

    # In bf16 the order of a sum shows in the third digit, and two processes sum in another order than one.
    encoding.bf16_is_faster = lambda _: False
    dies = job.pop("dies", None)
    plain: dict[str, Any] = {"loss": "mnrl", "epochs": 2, "min_steps": 0, "batch_size": 5, "learning_rate": 1e-3}
    plain |= {
        "warmup_share": 0.1,
        "scale": 20.0,
        "widths": [32, 16],
        "narrow_by": "matryoshka",
        "width_power": 0.0,
        "max_tokens": 32,
        "interpolation": [1.0],
    }
    recipe = Recipe(**plain | {"evaluations": 2, "patience": 9, "seed": 7} | job)
    verbs = ("cook", "sail", "sing", "draw", "swim", "read", "dig")
    texts = [f"The way to {verb} is long." for verb in verbs] + [f"Stone number {at}" for at in range(len(verbs))]
    passages = np.array([[at // 2, len(verbs) + at // 2] for at in range(ROWS)])
    queries = [f"{('how to', 'why')[at % 2]} {verbs[at // 2]}" for at in range(ROWS)]
    draw = np.random.default_rng(0)
    own, found = (draw.normal(size=(count, 4)).astype(np.float32) for count in (ROWS, len(texts)))
    masks = FalseNegatives(own, found, passages, [frozenset({at // 2}) for at in range(ROWS)], Suspicion(1.0, -1.0))
    weights = np.where(np.arange(ROWS) < 4, 0.5, 1.0).astype(np.float32)
    taught = draw.normal(size=passages.shape).astype(np.float32)
    data = TrainingSet(queries, passages, texts, masks, weights, taught)
    given: list[list[int]] = []

    def note(module: torch.nn.Module, arguments: Any) -> None:
        if isinstance(module, MatryoshkaLoss):
            given.append(arguments[1].tolist())
            if dies == [processes.rank(), len(given)]:
                os.kill(os.getpid(), signal.SIGKILL)

    def closeness(one: Any) -> dict[str, float]:
        asked, answers = (encoding.encoder(one, "query")(some) for some in (queries, texts))
        return {"score": float((asked * answers[passages[:, 0]]).sum(axis=1).mean())}

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    model = models.load(base, "cpu")
    found = trainer.trained(model, data, recipe, before={"score": 0.0}, measure=closeness, checkpoints=out / "checkpoints")
    hook.remove()
    (out / f"rows-{processes.rank()}.json").write_text(json.dumps(given), encoding="utf-8")
    if processes.first():
        (out / "curve.json").write_text(json.dumps(found.points), encoding="utf-8")
        save_file({name: value.clone() for name, value in model.state_dict().items()}, str(out / "weights.safetensors"))


def fail(out: Path, how: str) -> None:
    """Fail in the second process, while the first waits for it."""
    if processes.rank() == 1 and how == "input":
        raise InputError("train.batch_size: expected more, found less; raise it")
    if processes.rank() == 1 and how == "fault":
        raise ZeroDivisionError("nothing to\ndivide by")
    if processes.rank() == 1 and how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    processes.total(torch.ones(1))
    (out / "went-on").touch()


def wait() -> None:
    """Tell that all have met, and never end."""
    processes.wait()
    if processes.first():
        print("ready", flush=True)
    threading.Event().wait()


def gather(out: Path) -> None:
    """Loss and gradients of a shared batch of uneven parts, one process without a row of its own."""
    torch.manual_seed(0)
    whole, layer = torch.randn(6, 3), torch.nn.Linear(3, 2)
    found = {}
    for count in (6, 5, 1):
        labels = list(processes.share(range(count)))
        layer.zero_grad()
        columns, kept, own = processes.gathered([layer(whole[labels]), layer(2 * whole[labels])], torch.tensor(labels))
        parts = (columns[0] @ columns[1].T).exp().sum(dim=1)
        processes_part = parts[own.start : own.stop].sum()
        processes_part.backward()
        processes.add_gradients(layer)
        loss = float(processes.total(processes_part.detach()))
        found[count] = {"rows": kept.tolist(), "own": list(own), "loss": loss, "weight": layer.weight.grad.tolist()}
    found["shared"] = processes.shared(lambda: f"from {processes.rank()}")
    (out / f"gathered-{processes.rank()}.json").write_text(json.dumps(found), encoding="utf-8")


def main() -> None:
    """What the flags, a JSON object, say."""
    flags = json.loads(sys.argv[1])
    out = Path(flags["out"])
    if not launch.launched():
        launch.start(sys.argv, **flags["launch"], logs=out / "logs")
        return
    launch.join()
    if flags["work"] == "gather":
        gather(out)
    elif flags["work"] == "fail":
        fail(out, flags["how"])
    elif flags["work"] == "wait":
        wait()
    else:
        for name, job in flags["jobs"].items():
            (out / name).mkdir(exist_ok=True)
            processes.wait()
            train(Path(job.pop("base")), out / name, job)


if __name__ == "__main__":
    launch.run(main)
