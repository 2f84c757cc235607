"""The recipe that sentence-transformers itself documents for pairs of query and answer, with every part that it recommends.

What it takes from where, in the maintainers' own words of release 6:

- Docstring of `mine_hard_negatives` (6.2): a relative margin of 0.05 with the top candidates performs best, after NV-Retriever;
  its defaults give three negatives a pair, as triplets.
- Docstrings of `CachedMultipleNegativesRankingLoss` and `BatchSamplers` (6.2): large batches, no text twice in one.
- huggingface/sentence-transformers, skills/train-sentence-transformers/references/training_args.md (commit 7288111): 2e-5 for all
  weights of a BERT, linear, a tenth of the steps as warm-up, no weight decay, 3 to 10 epochs for small sets. Three of them show a
  pair nine times here, three times with each of its negatives.
- The same repository, skills/train-sentence-transformer/scripts/train_sentence_transformer_matryoshka_example.py (commit
  2b8da82): batches of 128, MatryoshkaLoss from the full width down to 64. examples/sentence_transformer/training/prompts/
  training_nq_prompts.py (commit 01ef46a) has the same rate, warm-up and sampler with the cached loss.
"""

import tempfile
from collections.abc import Sequence

from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss, MatryoshkaLoss
from sentence_transformers.util import mine_hard_negatives

from burnish.embedding import encoding
from burnish.errors import InputError

RELATIVE_MARGIN = 0.05
BATCH_SIZE = 128
EPOCHS = 3
LEARNING_RATE = 2e-5
WARMUP = 0.1  # of the steps
NARROWEST = 64


def widths(full: int) -> list[int]:
    """The Matryoshka widths of a model: its own, and the powers of two below it down to 64.

    >>> widths(384), widths(768)
    ([384, 256, 128, 64], [768, 512, 256, 128, 64])
    """
    return [full, *(NARROWEST << step for step in reversed(range(full.bit_length())) if NARROWEST << step < full)]


def train(model: SentenceTransformer, queries: Sequence[str], answers: Sequence[str], corpus: Sequence[str], seed: int) -> None:
    """Mine hard negatives with `model` and tune it in place.

    Args:
        model: the base model; becomes the tuned one.
        queries: one a pair, shape (pairs,).
        answers: of each query, shape (pairs,).
        corpus: every passage, of which negatives are taken.
        seed: of the training.

    Raises:
        InputError: no passage is far enough below an answer to be a negative.
    """
    prompts = {role: encoding.prompt(model, role) for role in ("query", "passage")}
    mined = mine_hard_negatives(
        Dataset.from_dict({"query": list(queries), "positive": list(answers)}),
        model,
        corpus=list(corpus),
        relative_margin=RELATIVE_MARGIN,
        query_prompt=prompts["query"] or None,
        corpus_prompt=prompts["passage"] or None,
        verbose=False,
    )
    if not len(mined):
        raise InputError(f"documented: of {len(corpus)} passages none is a negative for any query; give a larger corpus")
    before = {"query": prompts["query"], "positive": prompts["passage"], "negative": prompts["passage"]}
    loss = MatryoshkaLoss(model, CachedMultipleNegativesRankingLoss(model), widths(model.get_embedding_dimension() or 0))
    with tempfile.TemporaryDirectory() as out:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=out,
            num_train_epochs=EPOCHS,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=LEARNING_RATE,
            warmup_steps=WARMUP,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            bf16=encoding.bf16_is_faster(model.device),
            use_cpu=model.device.type == "cpu",
            prompts={name: text for name, text in before.items() if text},
            seed=seed,
            save_strategy="no",
            report_to="none",
        )
        SentenceTransformerTrainer(model=model, args=arguments, train_dataset=mined, loss=loss).train()
