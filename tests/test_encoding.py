"""Encoding: the vectors of sentence-transformers' own encode, in another order of work."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from burnish.embedding import encoding, models

TEXTS = ["a", "The way to cook rice is long. " * 4, "", "sing", "Größe 東京", "one two three four five six", "sing"]


@pytest.fixture(scope="module")
def model(base_model: Path) -> SentenceTransformer:
    """The real base model."""
    return models.load(base_model, "cpu")


def test_vectors_are_those_of_sentence_transformers(model: SentenceTransformer) -> None:
    """Texts of any length, the empty one too, in their own order."""
    expected = model.encode(TEXTS, normalize_embeddings=True)
    assert encoding.encoder(model, "passage")(TEXTS) == pytest.approx(expected, abs=1e-5)


def test_order_and_company_change_nothing(model: SentenceTransformer) -> None:
    """A text's vector does not depend on what it is padded beside."""
    encode = encoding.encoder(model, "passage")
    together = encode(TEXTS)
    assert encode(TEXTS[::-1])[::-1] == pytest.approx(together, abs=1e-5)
    assert np.concatenate([encode([text]) for text in TEXTS]) == pytest.approx(together, abs=1e-5)


def test_vectors_have_unit_length(model: SentenceTransformer) -> None:
    """Inner products are cosines."""
    assert np.linalg.norm(encoding.encoder(model, "query")(TEXTS), axis=1) == pytest.approx(1.0, abs=1e-5)


def test_no_text_gives_no_vector(model: SentenceTransformer) -> None:
    """The shape keeps the model's width."""
    assert encoding.encoder(model, "query")([]).shape == (0, 384)


def test_bfloat16_is_near(model: SentenceTransformer) -> None:
    """Less precise, still the same neighbours: cosine above 0.9998; the model keeps its own weights."""
    one, other = encoding.encoder(model, "passage", bf16=True)(TEXTS[:2]), encoding.encoder(model, "passage")(TEXTS[:2])
    assert ((one * other).sum(axis=1) > 0.9998).all()
    assert model[0].auto_model.dtype == torch.float32


def test_a_processor_without_the_one_call_gives_the_same(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where oneDNN's linear layer cannot run, torch's own computes the same vectors."""
    here = encoding.encoder(model, "passage", bf16=True)(TEXTS)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert encoding.encoder(model, "passage", bf16=True)(TEXTS) == pytest.approx(here, abs=1e-6)


def test_each_role_has_its_prompt(base_model: Path) -> None:
    """A query is given what stands before queries, a passage what stands before documents."""
    model = models.load(base_model, "cpu")
    plain = encoding.encoder(model, "query")(["query: sing", "passage: sing"])
    model.prompts = {"query": "query: ", "document": "passage: "}
    found = [encoding.encoder(model, "query")(["sing"])[0], encoding.encoder(model, "passage")(["sing"])[0]]
    assert np.stack(found) == pytest.approx(plain, abs=1e-5)


def test_a_text_longer_than_the_model_reads_is_cut(model: SentenceTransformer) -> None:
    """As sentence-transformers cuts it: what stands beyond changes nothing."""
    long = "word " * 400
    found = encoding.encoder(model, "passage")([long, long + "another thing"])
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert found[:1] == pytest.approx(model.encode([long], normalize_embeddings=True), abs=1e-5)


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_batches_keep_every_text_within_the_budget(lengths: list[int], budget: int) -> None:
    """Nothing lost, nothing moved, and only a lone text is above the budget."""
    order = sorted(range(len(lengths)), key=lambda at: -lengths[at])
    found = encoding.batches(lengths, order, budget)
    assert [at for batch in found for at in batch] == order
    assert all(len(batch) == 1 or len(batch) * max(lengths[at] for at in batch) <= budget for batch in found)


def test_a_device_has_a_token_budget() -> None:
    """A GPU takes more at once."""
    assert encoding.batch_tokens(torch.device("cuda")) > encoding.batch_tokens(torch.device("cpu")) > 0


PLAIN = {"architecture": "x86_64", "avx2": True, "avx512_bf16": False, "amx_bf16": False}


def test_a_processor_without_the_instructions_is_not_tried() -> None:
    """An x86 processor with neither AVX-512 bf16 nor AMX computes in float32, whatever a trial would say."""

    def trial() -> encoding.Durations:
        pytest.fail("tried")

    assert not encoding.bf16_pays(PLAIN, trial)


@pytest.mark.parametrize(
    "processor", [PLAIN | {"avx512_bf16": True}, PLAIN | {"amx_bf16": True}, {"architecture": "aarch64"}, {}], ids=str
)
@pytest.mark.parametrize(
    ("fp32", "bf16", "expected"),
    [([2.0, 9.0], [9.0, 1.0], True), ([9.0, 1.0], [2.0, 2.0], False), ([1.0], [1.0], False)],
)
def test_the_shortest_of_a_trial_decides(
    processor: dict[str, object], fp32: list[float], bf16: list[float], expected: bool
) -> None:
    """Elsewhere bfloat16 is used if its best time is below float32's; one that other work delayed does not count."""
    assert encoding.bf16_pays(processor, lambda: (fp32, bf16)) is expected


def test_torch_tells_what_decides() -> None:
    """The flags of an x86 processor are among those that torch names."""
    found = torch.cpu.get_capabilities()
    assert found.get("architecture") != "x86_64" or {"avx512_bf16", "amx_bf16"} <= found.keys()
