"""Read the judged queries, the search logs and the general set."""

from pathlib import Path
from typing import Annotated, Any

import click
import polars as pl
from pydantic import Field

from burnish import atomic, knobs, tables
from burnish.clicks.collected import collected
from burnish.clicks.rule import ClickRule, Log
from burnish.errors import InputError, run
from burnish.knobs import Knobs
from burnish.queries import hub_sets, msmarco_files, terms, training
from burnish.queries.curated import Curated, JudgmentFiles, JudgmentSource, curated
from burnish.queries.general import General, digest
from burnish.queries.hub_sets import GeneralHub, NanoBeir
from burnish.queries.judgments import Judged, Shares, with_experts_word
from burnish.queries.msmarco_files import GeneralFiles
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES


class CollectKnobs(Knobs):
    """The section `collect` of params.yaml, where each knob is explained."""

    judgments: list[JudgmentSource]
    labels: str
    logs: list[Log]
    clicks: ClickRule
    shares: Shares
    general: Annotated[GeneralFiles | GeneralHub, Field(discriminator="kind")]
    nanobeir: NanoBeir


@click.command(help=__doc__)
@click.option("--params", type=click.Path(path_type=Path), required=True, help="File whose section `collect` holds the knobs.")
@click.option("--corpus", type=click.Path(path_type=Path), required=True, help="Folder of documents and passages.")
@click.option("--judged", type=click.Path(path_type=Path), required=True, help="Folder of the judgment files.")
@click.option("--logs", type=click.Path(path_type=Path), required=True, help="Folder of the search logs.")
@click.option("--general", type=click.Path(path_type=Path), required=True, help="Folder of a general set's files.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder for queries, qrels, training, general passages and counts.",
)
def main(params: Path, corpus: Path, judged: Path, logs: Path, general: Path, out: Path) -> None:
    """Judgment files, search logs, general set -> queries, qrels, general passages, counts."""
    chosen = knobs.section(params, "collect", CollectKnobs)
    passage_ids = frozenset(tables.read(PASSAGES, corpus / "passages.parquet")["passage_id"])
    document_ids = frozenset(tables.read(DOCUMENTS, corpus / "documents.parquet")["document_id"])
    general_set, source = general_of(chosen.general, chosen.nanobeir, general)
    own = curated(
        chosen.judgments,
        judged,
        passage_ids=passage_ids,
        document_ids=document_ids,
        shares=chosen.shares,
        labels=chosen.labels,
    )
    sets = [Judged(own.queries, own.qrels), general_set.judged]
    found: dict[str, Any] = {}
    if chosen.logs:
        units = dict.fromkeys(document_ids, "document") | dict.fromkeys(passage_ids, "passage")
        clicks = collected(chosen.logs, logs, out.parent, units=units, rule=chosen.clicks)
        sets.insert(1, clicks.judged)
        found = {"logs": clicks.counts}
    queries = pl.concat([one.queries for one in sets], how="diagonal")
    queries = queries.with_columns(pl.selectors.starts_with(tables.SLICE).fill_null("none"))
    qrels = with_experts_word(pl.concat([one.qrels for one in sets]))  # a label may be of what people clicked
    answered = qrels.filter(pl.col("grade") > 0)
    asked = queries.filter(pl.col("origin") == "curated", pl.col("split") == "test")
    if chosen.judgments and asked.join(answered, on="query_id", how="semi").is_empty():
        raise InputError(
            f"collect.judgments: no test query with an answer (a grade above 0), of {asked.height} test queries; judge answers, "
            "give some queries the split test, or raise collect.shares.test"
        )
    sizes = queries.group_by("origin", "split").len().sort("origin", "split")
    counts = {
        "queries": {f"{origin} {split}": number for origin, split, number in sizes.iter_rows()},
        "grades": {str(grade): number for grade, number in qrels["grade"].value_counts(sort=True).sort("grade").iter_rows()},
        "general_passages": general_set.passages.height,
        **({"general_left_out": general_set.left_out} if general_set.left_out else {}),
        **own.counts,
        **found,
    }
    shown = training.shown(queries, qrels)
    with atomic.folder(out) as made:
        tables.write(queries, QUERIES, made / "queries.parquet")
        tables.write(qrels, QRELS, made / "qrels.parquet")
        tables.write(shown.queries, QUERIES, made / "training" / "queries.parquet")
        tables.write(shown.qrels, QRELS, made / "training" / "qrels.parquet")
        tables.write(general_set.passages, PASSAGES, made / "general_passages.parquet")
        atomic.write_json(made / "counts.json", counts)
        atomic.write_json(made / "general.json", source)
        atomic.write_json(made / "judged.json", judged_files(chosen, own))
    told = {
        "left out": general_set.left_out,
        "answers of experts left out": own.counts["left_out"],
        "experts' grades below 0, taken as 0": own.counts.get("grades_below_0"),
    }
    click.echo(
        f"collect: {counts['queries']}, {qrels.height} judgments, {general_set.passages.height} general passages"
        + "".join(f"; {what}: {found}" for what, found in told.items() if found)
    )


def judged_files(chosen: CollectKnobs, own: Curated) -> list[str]:
    """The files that judgments came from, as the knobs name them; that of the labels once it holds any."""
    files = [one.queries if isinstance(one, JudgmentFiles) else one.path for one in chosen.judgments]
    return [*dict.fromkeys(files), *([chosen.labels] if own.counts["labels"]["read"] else [])]


def general_of(given: GeneralFiles | GeneralHub, nano: NanoBeir, folder: Path) -> tuple[General, dict[str, Any]]:
    """The general set with NanoBEIR's sets, and what a release says of them."""
    told: dict[str, Any]
    if isinstance(given, GeneralFiles):
        found, told = msmarco_files.read(given, folder), {"kind": "files"}
        names = [str(folder.resolve()), given.collection, given.triples.file]
    else:
        found = hub_sets.read(given)
        told = {"kind": "hub", "sha256": hub_sets.digest(found, given), **given.rows.model_dump(exclude={"max_rows"})}
        names = [given.rows.dataset]
    if nano.sets:
        added = hub_sets.nanobeir(nano)
        told["nanobeir"] = nano.model_dump() | {"sha256": digest(added)}
        names += [nano.dataset, *nano.sets]
        found = hub_sets.with_nanobeir(found, added)
    return found, told | {"licence": terms.in_words(given.licence, *names)}


if __name__ == "__main__":
    run(main)
