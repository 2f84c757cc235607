"""Training and encoding on a GPU, burnish and plain sentence-transformers side by side, with made texts and random weights.

Needs torch, sentence-transformers and this folder with `src/burnish` beside it, nothing else: no network, no table library, no
installation. Random weights compute as fast as trained ones. `plain` is a step as SentenceTransformerTrainer makes it: padded
columns, autocast in bf16, dropout, fused AdamW. `burnish` is the step of burnish's training on the same texts. Tokenizing, which
both do beside the GPU, counts for training in neither. Tokens are real ones, without padding; a share of the peak counts the
operations that those tokens need, so that computing padding does not look like speed.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import click
import numpy as np
import torch
from accelerate import Accelerator
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from burnish.embedding import encoding
from burnish.training.losses import CachedRankingLoss, Contrast, PackedRankingLoss, Passes
from burnish.training.masks import FalseNegatives, Suspicion

_WORDS = 30_000
_LONGEST = 256  # tokens
_MEDIAN = 70  # words of a passage; lognormal, so that some are cut and most are a third as long
_SECONDS = 4.0  # of timed steps for each side, after two that are not timed
_PEAKS = {
    "H200": 989.5,
    "H100 PCIe": 756.0,
    "H100": 989.5,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "A10G": 125.0,
}  # dense bf16


@dataclass(frozen=True)
class Shape:
    """A BERT, and how many queries a training batch has; each brings its passage and one negative."""

    name: str
    width: int
    layers: int
    heads: int
    batch: int
    texts: int  # to encode


SHAPES = {
    one.name: one
    for one in (
        Shape("MiniLM-L6", 384, 6, 12, batch=2048, texts=40_000),
        Shape("BERT-base", 768, 12, 12, batch=512, texts=20_000),
        Shape("BERT-large", 1024, 24, 16, batch=128, texts=8_000),
        Shape("tiny", 32, 2, 2, batch=8, texts=24),
    )
}


def made_texts(count: int, median: int, seed: int) -> list[str]:
    """Texts of made words, their lengths lognormal about `median` words."""
    random = np.random.default_rng(seed)
    lengths = np.clip(random.lognormal(np.log(median), 0.7, count).astype(int), 3, _LONGEST - 2)
    words = random.integers(0, _WORDS, int(lengths.sum()))
    parts = np.split(words, np.cumsum(lengths)[:-1])
    return [" ".join(f"w{one}" for one in part) for part in parts]


def made_model(shape: Shape, folder: Path, device: str) -> SentenceTransformer:
    """A model of this shape with random weights, its tokenizer one token a word."""
    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: at for at, word in enumerate([*special, *(f"w{one}" for one in range(_WORDS))])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=_LONGEST, **names).save_pretrained(str(folder))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        max_position_embeddings=_LONGEST,
    )
    BertModel(config).save_pretrained(str(folder))
    body = Transformer(str(folder))
    body.max_seq_length = _LONGEST
    return SentenceTransformer(modules=[body, Pooling(shape.width)], device=device)


def operations(shape: Shape, lengths: Sequence[int]) -> float:
    """Of one forward pass over texts of these lengths: two for each weight of the layers and token, and attention's products."""
    tokens = np.asarray(lengths, dtype=np.float64)
    return float((24 * shape.layers * shape.width**2 * tokens + 4 * shape.layers * shape.width * tokens**2).sum())


@dataclass(frozen=True)
class Machine:
    """What computes, and how fast its products are at best, in operations a second."""

    device: str
    name: str
    peak: float | None  # as its maker tells it, in bf16
    product: float | None  # as measured

    def precision(self) -> AbstractContextManager[Any]:
        """Autocast to bf16 on a GPU; fp32 elsewhere."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")

    def wait(self) -> None:
        """Until all that was asked for is done."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def machine(device: str, peak: float | None) -> Machine:
    """The machine, its best product measured on 8192 x 8192 matrices."""
    if device != "cuda":
        return Machine(device, device, None, None)
    name = torch.cuda.get_device_name()
    known = next((found for part, found in _PEAKS.items() if part in name), None)
    one, other = (torch.randn(8192, 8192, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        one @ other
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        one @ other
    torch.cuda.synchronize()
    rate = 20 * 2 * 8192**3 / (time.perf_counter() - start)
    return Machine(device, name, (peak or known) and (peak or known or 0) * 1e12, rate)


def timed(work: Callable[[], object], on: Machine, limit: float) -> tuple[float, float]:
    """(seconds of one call, peak memory in GiB), the mean over some seconds after two calls that are not counted.

    Raises:
        torch.OutOfMemoryError: the work does not fit.
    """
    for _ in range(2):
        work()
    on.wait()
    if on.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < limit:
        work()
        on.wait()
        calls += 1
    seconds = (time.perf_counter() - start) / calls
    return seconds, torch.cuda.max_memory_allocated() / 2**30 if on.device == "cuda" else 0.0


def row(work: str, side: str, shape: Shape, on: Machine, found: tuple[float, float], *, texts: int, lengths: Sequence[int], times: float) -> dict[str, Any]:  # fmt: skip
    """What one side did; `times` forward passes are what the work needs (a backward pass counts two)."""
    rate = times * operations(shape, lengths) / found[0]
    return {
        "work": work,
        "shape": shape.name,
        "side": side,
        "machine": on.name,
        "samples_per_second": round(texts / found[0], 1),
        "tokens_per_second": round(sum(lengths) / found[0]),
        "tflops": round(rate / 1e12, 3),
        "share_of_peak": round(rate / on.peak, 4) if on.peak else None,
        "share_of_measured_product": round(rate / on.product, 4) if on.product else None,
        "peak_gib": round(found[1], 2),
        "seconds": round(found[0], 4),
    }


def compared(
    sides: dict[str, Callable[[], Callable[[], object]]], on: Machine, limit: float, **what: Any
) -> Iterator[dict[str, Any]]:
    """A row a side, each made when its turn comes, then their ratio; a side that does not fit into memory says so."""
    seconds = {}
    for name, ready in sides.items():
        try:
            found = timed(ready(), on, limit)
        except torch.OutOfMemoryError:
            yield {
                "work": what["work"],
                "shape": what["shape"].name,
                "side": name,
                "machine": on.name,
                "error": "out of memory",
            }
            continue
        finally:
            if on.device == "cuda":
                torch.cuda.empty_cache()
        seconds[name] = found[0]
        yield row(side=name, on=on, found=found, **what)
    if len(seconds) == len(sides):
        plain, own = seconds.values()
        yield {"work": what["work"], "shape": what["shape"].name, "ratio": round(plain / own, 3)}


def masks(rows: int, columns: int, seed: int = 0) -> FalseNegatives:
    """Masks over random vectors of 16 dimensions: as much work as real ones of that width."""
    random = np.random.default_rng(seed)
    candidates = np.arange(rows * columns).reshape(columns, rows).T
    queries, passages = (random.standard_normal((count, 16)).astype(np.float32) for count in (rows, rows * columns))
    return FalseNegatives(queries, passages, candidates, [frozenset({at}) for at in range(rows)], Suspicion(0.98, 0.9))


def passes(model: SentenceTransformer, on: Machine) -> Passes:
    """As burnish's trainer lets texts through."""
    return Passes(encoding.batch_tokens(model.device), torch.bfloat16 if on.device == "cuda" else None)


def stepped(
    model: SentenceTransformer, loss: nn.Module, columns: list[dict[str, Tensor]], on: Machine, *, dropout: float
) -> Callable[[], object]:
    """A function that makes one training step on the same batch each time; burnish trains without dropout."""
    for module in model.train().modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    labels = torch.arange(len(columns[0]["input_ids"]), device=on.device)

    def step() -> None:
        loss([dict(column) for column in columns], labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def features(model: SentenceTransformer, texts: Sequence[str], on: Machine) -> dict[str, Tensor]:
    """A padded column, on the device."""
    found = model.tokenizer(list(texts), padding=True, truncation=True, max_length=_LONGEST, return_tensors="pt")
    return {name: value.to(on.device) for name, value in found.items()}


def training(model: SentenceTransformer, shape: Shape, on: Machine, limit: float) -> Iterator[dict[str, Any]]:
    """Steps of in-batch ranking with a negative for each query."""
    texts = made_texts(shape.batch, 8, 1), made_texts(shape.batch, _MEDIAN, 2), made_texts(shape.batch, _MEDIAN, 3)
    columns = [features(model, one, on) for one in texts]
    lengths = [int(n) for column in columns for n in column["attention_mask"].sum(dim=1)]
    plain = MultipleNegativesRankingLoss(model)
    own = PackedRankingLoss(
        model,
        masks(shape.batch, 2),
        np.ones(shape.batch, np.float32),
        Contrast(20.0, passes(model, on)),
    )

    both = {
        "plain": lambda: stepped(model, plain, columns, on, dropout=0.1),
        "burnish": lambda: stepped(model, own, columns, on, dropout=0.0),
    }
    what = {"work": "train", "shape": shape, "texts": shape.batch, "lengths": lengths, "times": 3}
    yield from compared(both, on, limit, **what)


def cached(model: SentenceTransformer, shape: Shape, rows: int, on: Machine, limit: float) -> Iterator[dict[str, Any]]:
    """Steps of gradient-cached ranking over `rows` queries at once, each with its passage."""
    columns = [features(model, made_texts(rows, median, seed), on) for median, seed in ((8, 1), (_MEDIAN, 2))]
    lengths = [int(n) for column in columns for n in column["attention_mask"].sum(dim=1)]
    plain = CachedMultipleNegativesRankingLoss(model, mini_batch_size=min(rows, 512))
    own = CachedRankingLoss(model, masks(rows, 1), np.ones(rows, np.float32), Contrast(20.0, passes(model, on)))

    both = {
        "plain": lambda: stepped(model, plain, columns, on, dropout=0.1),
        "burnish": lambda: stepped(model, own, columns, on, dropout=0.0),
    }
    what = {"work": f"train, {rows} rows cached", "shape": shape, "texts": rows, "lengths": lengths, "times": 4}
    yield from compared(both, on, limit, **what)


def encoded(model: SentenceTransformer, shape: Shape, on: Machine, limit: float) -> Iterator[dict[str, Any]]:
    """Passages to vectors, tokenizing counted; plain as `encode` comes, but for autocast to bf16, since burnish has bf16 too."""
    texts = made_texts(shape.texts, _MEDIAN, 4)
    lengths = [len(ids) for ids in model.tokenizer(texts, truncation=True, max_length=_LONGEST)["input_ids"]]
    own = encoding.encoder(model, "passage", bf16=on.device == "cuda")

    def plain() -> object:
        with on.precision():
            return model.encode(texts, show_progress_bar=False)

    what = {"work": "encode", "shape": shape, "texts": len(texts), "lengths": lengths, "times": 1}
    yield from compared({"plain": lambda: plain, "burnish": lambda: lambda: own(texts)}, on, limit, **what)


@click.command(help=__doc__)
@click.option(
    "--shape", "names", type=click.Choice(list(SHAPES)), multiple=True, help="May be repeated.  [default: all but tiny]"
)
@click.option("--cached-rows", type=click.IntRange(min=2), default=65_536, show_default=True, help="Queries of a cached batch.")
@click.option("--seconds", type=float, default=_SECONDS, show_default=True, help="Timed for each side.")
@click.option("--peak-tflops", type=float, help="Of the card in dense bf16.  [default: known for some cards]")
@click.option("--device", type=click.Choice(["cuda", "cpu"]), help="[default: cuda where there is one]")
def main(names: Sequence[str], cached_rows: int, seconds: float, peak_tflops: float | None, device: str | None) -> None:
    """Print JSON lines: one a side, and the ratio of both."""
    on = machine(device or ("cuda" if torch.cuda.is_available() else "cpu"), peak_tflops)
    torch.set_float32_matmul_precision("high")  # TF32, as the trainer sets it
    for shape in [SHAPES[name] for name in names] or [one for one in SHAPES.values() if one.name != "tiny"]:
        with tempfile.TemporaryDirectory() as folder:
            model = made_model(shape, Path(folder), on.device)
        # As the trainer does: autocast in the model's forward alone, and the loss in float32.
        model = Accelerator(mixed_precision="bf16" if on.device == "cuda" else "no").prepare_model(model)
        works = [training(model, shape, on, seconds), encoded(model, shape, on, seconds)]
        if shape.name in {"MiniLM-L6", "tiny"}:
            works.append(cached(model, shape, cached_rows, on, seconds))
        for work in works:
            for found in work:
                click.echo(json.dumps(found))


if __name__ == "__main__":
    main()
