"""LoRA: little is trained, all is merged, and what comes out is a model like any other."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from burnish.embedding import encoding, models
from burnish.errors import InputError
from burnish.training import trainer
from burnish.training.adapters import Adapters
from test_trainer import QUICK, closeness, data, learns, run, same, small  # noqa: F401

LORA = replace(QUICK, lora_rank=4, learning_rate=2e-2)


def test_it_learns_and_goes_on_after_a_kill(small: Path, tmp_path: Path) -> None:  # noqa: F811
    """As every training; the weights have the base's names."""
    assert learns(small, tmp_path, LORA)
    assert set(run(small, tmp_path / "again", recipe=LORA)[0]) == set(models.load(small, "cpu").state_dict())


def test_only_the_adapters_are_trained(small: Path, tmp_path: Path) -> None:  # noqa: F811
    """While it trains, every weight of the base is as it was: checkpoints tell."""
    base = models.load(small, "cpu").state_dict()
    run(small, tmp_path, recipe=LORA)
    trained = load_file(str(next(tmp_path.glob("checkpoint-*")) / "with_adapters.safetensors"))
    frozen = {name: value for name, value in trained.items() if "lora_" not in name}
    assert {name.replace(".base_layer", "") for name in frozen} == set(base)
    assert all(torch.equal(value, base[name.replace(".base_layer", "")]) for name, value in frozen.items())
    assert any(value.abs().max() > 1e-3 for name, value in trained.items() if "lora_B" in name)


def test_a_merged_model_saves_and_loads_as_any_other(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """What the trainer leaves gives the same vectors after a round trip, and its weights have moved."""
    # In bf16 accelerate leaves its autocast on what was trained, and two precisions would be compared.
    monkeypatch.setattr(encoding, "bf16_is_faster", lambda _: False)
    model = models.load(small, "cpu")
    trainer.trained(model, data(), LORA, before=closeness(model), measure=closeness, checkpoints=tmp_path / "job")
    models.save(model, tmp_path / "tuned")
    again = models.load(tmp_path / "tuned", "cpu")
    found = [encoding.encoder(one, "query")(["how to sail", "a stone"]) for one in (model, again)]
    assert (found[0] == found[1]).all()
    assert not same(again.state_dict(), models.load(small, "cpu").state_dict())
    assert all(part.requires_grad for part in model.parameters())


def test_interpolation_is_between_base_and_merged_weights(small: Path, tmp_path: Path) -> None:  # noqa: F811
    """Half-way lies half-way, in every weight."""
    base = models.load(small, "cpu").state_dict()
    half, whole = (run(small, tmp_path / str(share), recipe=replace(LORA, interpolation=(share,)))[0] for share in (0.5, 1.0))
    assert all(torch.allclose(half[name], (base[name] + whole[name]) / 2, atol=1e-6) for name in base)
    assert not same(half, base)


def test_without_peft_the_knob_is_named(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """What is missing, and both remedies."""
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"train\.lora_rank: 4 needs peft.*pip install 'burnish\[lora\]'.*or set it to 0"):
        Adapters(models.load(small, "cpu"), 4, 0)
