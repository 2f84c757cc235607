"""Make the release: the tuned model at the chosen width, with manifest, model card and proof of parity."""

import json
from pathlib import Path
from typing import Annotated, Any

import click
from pydantic import ConfigDict, Field

from burnish import ahead, atomic, knobs, provenance, tables
from burnish.embedding import encoding, models
from burnish.errors import InputError, run
from burnish.knobs import Knobs
from burnish.tables import PASSAGES
from burnish.training import licences, release
from burnish.training.licences import DocumentSources, SearchLogs

_GENERAL = "general set"


class ExportKnobs(Knobs):
    """The section `export` of params.yaml, where each knob is explained."""

    width: Annotated[int, Field(ge=0)]
    licences: dict[str, str]
    proof_passages: Annotated[int, Field(ge=11)]


class Whole(Knobs):
    """A section that the manifest tells as it is; its stage has checked it."""

    model_config = ConfigDict(extra="allow")


class Synthesis(Knobs):
    """Of the section `synthesize`, what decides which queries are made; how they are paid for decides nothing."""

    model_config = ConfigDict(extra="ignore")

    provider: str
    model: str
    prompt: str
    count: int
    excerpt_characters: int
    excerpts_per_document: int
    kinds: list[str]
    wordings: list[str]
    personas: list[str]
    language: str
    passages_per_query: int
    companions: str
    examples: int
    temperature: float
    max_passages_per_query: int
    judge: dict[str, Any]


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `export` holds the knobs.")
@click.option("--base", type=click.Path(path_type=Path), required=True, help="Folder of the base model.")
@click.option("--tuned", type=click.Path(path_type=Path), required=True, help="Folder of the tuned model.")
@click.option("--curves", type=click.Path(path_type=Path), required=True, help="Folder of the training's counts.")
@click.option("--passages", type=click.Path(path_type=Path), required=True, help="The passages to prove parity on.")
@click.option("--training", type=click.Path(path_type=Path), required=True, help="Folder of the training set.")
@click.option("--negatives", type=click.Path(path_type=Path), required=True, help="Folder of the negatives.")
@click.option("--general", type=click.Path(path_type=Path), required=True, help="Where the general set came from: JSON.")
@click.option("--judged", type=click.Path(path_type=Path), required=True, help="Which files judgments came from: JSON.")
@click.option("--synthetic", type=click.Path(path_type=Path), required=True, help="The counts of the synthetic queries.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the release.")
def main(params: Path, base: Path, tuned: Path, curves: Path, passages: Path, training: Path, negatives: Path, general: Path, judged: Path, synthetic: Path, out: Path) -> None:  # fmt: skip
    """Tuned model -> release, manifest, proof of parity."""
    chosen = knobs.section(params, "export", ExportKnobs)
    if _GENERAL in chosen.licences:
        raise InputError(f"export.licences: `{_GENERAL}` is told by collect.general.licence; leave it out here")
    named = licences.names(knobs.section(params, "extract", DocumentSources), knobs.section(params, "collect", SearchLogs))
    made_by = {
        "extract": knobs.section(params, "extract", Whole),
        "synthesize": (synthesis := knobs.section(params, "synthesize", Synthesis)),
        "mix": knobs.section(params, "mix", Whole),
        "mine": knobs.section(params, "mine", Whole),
        "train": knobs.section(params, "train", Whole),
        "export": chosen,
    }
    origin, set_of, files, counts = (
        json.loads(one.read_text("utf-8")) for one in (base / models.ORIGIN, general, judged, synthetic)
    )
    named += [f"base model {origin['model']}", *(f"judgments {name}" for name in files)]
    named += licences.of_synthesis(counts, writer=synthesis.model, judge=synthesis.judge["model"])
    named += licences.of_other_models(made_by["mine"].model_dump(), made_by["train"].model_dump())
    named += licences.of_general_tests(set_of)
    stated = licences.with_sources(chosen.licences, named)
    code = {"train": provenance.recorded(tuned), "export": provenance.digest(Path(__file__))}
    model = models.load(tuned)
    ahead.check(params, model.get_embedding_dimension() or 0)
    summary = json.loads((curves / "counts.json").read_text(encoding="utf-8"))
    corpus = tables.read(PASSAGES, passages)
    step = max(1, corpus.height // chosen.proof_passages)
    texts = tables.embedded_text(corpus.gather_every(step).head(chosen.proof_passages))
    expected = encoding.encoder(model, "passage")(texts)
    width = chosen.width or expected.shape[1]
    with atomic.folder(out) as made:
        models.save(release.at_width(model, width), made)
        proof = release.prove(made, expected, texts, width)
        found = release.manifest(
            made,
            base=origin | {"digest": models.digest(base)},
            training={
                "recipe": summary["recipe"],
                "summary": summary,
                "licences": licences.with_terms(stated, set_of) | {_GENERAL: set_of["licence"]},
                "general_set": set_of,
            },
            data={
                "queries": training / "queries.parquet",
                "qrels": training / "qrels.parquet",
                "negatives": negatives / "negatives.parquet",
                "passages": passages,
            },
            code=code,
            params={name: one.model_dump() for name, one in made_by.items()},
            widths=[one for one in summary["recipe"]["widths"] if one <= width],
        )
        release.write_manifest(made, found | {"proof": proof, "width": width})
    lacking = "".join(f"; export.licences states none of: {name}" for name in licences.unstated(stated))
    click.echo(f"export: width {width}, lowest cosine {proof['lowest_cosine']:.6f} on {proof['passages']} passages{lacking}")


if __name__ == "__main__":
    run(main)
