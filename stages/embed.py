"""Embed passages and queries with a model; what the store holds is not computed again."""

from pathlib import Path

import click
import polars as pl

from burnish import atomic, compute, tables
from burnish.embedding import encoding, models, spreading, vectors
from burnish.embedding.vectors import VectorStore
from burnish.errors import run
from burnish.tables import PASSAGES, QUERIES


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File with the section `compute`.")
@click.option("--model", type=click.Path(path_type=Path), required=True, help="Folder of the model.")
@click.option("--passages", type=click.Path(path_type=Path), required=True, help="The corpus's passages.")
@click.option("--general", type=click.Path(path_type=Path), required=True, help="The general set's passages.")
@click.option(
    "--queries", type=click.Path(path_type=Path), multiple=True, required=True, help="Queries; may be given several times."
)
@click.option("--store", type=click.Path(path_type=Path), required=True, help="Folder of the vector store.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the vectors.")
def main(params: Path, model: Path, passages: Path, general: Path, queries: tuple[Path, ...], store: Path, out: Path) -> None:  # fmt: skip
    """Passages, queries, model -> vectors."""
    asked = pl.concat([tables.read(QUERIES, path).select("query_id", "text") for path in queries])
    domain, others = tables.read(PASSAGES, passages), tables.read(PASSAGES, general)
    jobs: dict[str, tuple[pl.Series, list[str], encoding.Role]] = {
        "passages": (domain["passage_id"], tables.embedded_text(domain), "passage"),
        "general": (others["passage_id"], tables.embedded_text(others), "passage"),
        "queries": (asked["query_id"], asked["text"].to_list(), "query"),
    }
    with compute.cluster(compute.chosen(params)) as cluster, atomic.folder(out) as made:
        digest, loaded = models.digest(model), models.load(model)
        bf16 = cluster.once(spreading.bf16_is_faster_here, model=True) if cluster else encoding.bf16_is_faster(loaded.device)
        precision = "bfloat16" if bf16 else "float32"
        shelves = {
            name: VectorStore.of(store, model_digest=digest, prompt=encoding.prompt(loaded, role), precision=precision)
            for name, (_, _, role) in jobs.items()
        }
        spread = [(shelves[name], role, texts) for name, (_, texts, role) in jobs.items()]
        computed = dict(zip(jobs, spreading.fill(cluster, model, spread, bf16=bf16), strict=True)) if cluster else {}
        for name, (ids, texts, role) in jobs.items():
            found, here = shelves[name].vectors(texts, encoding.encoder(loaded, role, bf16=bf16))
            computed[name] = computed.get(name, 0) + here
            vectors.write(made / f"{name}.parquet", ids.to_list(), found)
    total = {name: len(ids) for name, (ids, _, _) in jobs.items()}
    click.echo(f"embed: {total}, of which computed now {computed}, the rest from the store")


if __name__ == "__main__":
    run(main)
