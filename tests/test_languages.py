"""Russian, German, Chinese and Arabic through every step that touches text, from files to the report."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import Stemmer
import stopwordsiso
import yaml
from click.testing import CliRunner

import languages
import test_page
from burnish import tables, writing
from burnish.documents import duplicates
from burnish.errors import InputError
from burnish.evaluation import doctor, slices
from burnish.queries.curated import JudgmentFiles, curated
from burnish.queries.judgments import Shares
from burnish.report.changes import changes
from burnish.search import retrieval
from burnish.synthesis.extractive import extracted_queries
from burnish.synthesis.pairs import lexical_copy_rate
from burnish.tables import DOCUMENTS, PASSAGES, QRELS, QUERIES, RUNS
from burnish.training import audit, licences
from burnish.training.licences import DocumentSources, SearchLogs
from conftest import ROOT

LANGUAGES = languages.LANGUAGES
PAGE = (ROOT / "docs/languages.md").read_text(encoding="utf-8")
FRAGMENT: dict[str, Any] = yaml.safe_load(re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[1])  # type: ignore[index]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Iterator[Path]:
    """The corpus after the stages extract, collect and synthesize, by the documentation's knobs but for base and sizes."""
    folder = tmp_path_factory.mktemp("languages")
    languages.write(folder)
    (folder / "general").mkdir()
    for name in ("collection.tsv", *(f"{kind}.{split}.tsv" for kind in ("queries", "qrels") for split in tables.SPLITS)):
        split = name.split(".")[1]
        row = f"{split}\t0\t1\t1" if name.startswith("qrels") else f"{split if 'queries' in name else 1}\tthe sun is a star"
        (folder / "general" / name).write_text(row + "\n", encoding="utf-8")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, knobs in FRAGMENT.items():
        params[section] |= knobs
    params["extract"] |= {"max_tokens": 128, "min_tokens": 0}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    run("extract", folder, documents="documents", model=base_model, out="corpus")
    run("collect", folder, corpus="corpus", judged="judged", logs="logs", general="general", out="collected")
    table = {"passages": "corpus/passages.parquet", "documents": "corpus/documents.parquet"}
    run(
        "synthesize",
        folder,
        **table,
        training="collected/training",
        recorded="none",
        store="none",
        prompts=ROOT / "prompts",
        out="synthetic",
    )
    yield folder


def run(stage: str, folder: Path, **flags: object) -> str:
    """What a stage prints, run with these flags, paths below `folder`."""
    import runpy

    given = [part for flag, value in flags.items() for part in (f"--{flag}", str(folder / str(value)))]
    main = runpy.run_path(str(ROOT / "stages" / f"{stage}.py"))["main"]
    result = CliRunner().invoke(main, ["--params", str(folder / "params.yaml"), *given], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def documents(made: Path) -> pl.DataFrame:
    """The table of documents."""
    return tables.read(DOCUMENTS, made / "corpus/documents.parquet")


@pytest.fixture(scope="module")
def passages(made: Path) -> pl.DataFrame:
    """The table of passages."""
    return tables.read(PASSAGES, made / "corpus/passages.parquet")


@pytest.fixture(scope="module")
def queries(made: Path) -> pl.DataFrame:
    """The judged queries, the general ones left out."""
    return tables.read(QUERIES, made / "collected/queries.parquet").filter(pl.col("origin") == "curated")


def flat(text: str) -> str:
    """A text without white space and Markdown's marks."""
    return re.sub(r"^(?:-|\d\.) |\s+", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_extraction_keeps_every_word_and_the_size(passages: pl.DataFrame, language: str) -> None:
    """In the model's own tokens no passage is larger than asked, and none of the text is lost."""
    own = passages.filter(pl.col("document_id").str.starts_with(f"{language}/"))
    assert own["tokens"].max() <= 128
    for name, text in languages.DOCUMENTS.items():
        if name.startswith(f"{language}/"):
            parts = own.filter(pl.col("document_id") == f"{name}.md").sort("ordinal")
            body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
            assert flat("\n".join(parts["text"])) == flat(body)
            titles = {title for path in parts["heading"] for title in path.split(" > ")}
            assert titles == {line.lstrip("# ") for line in text.splitlines() if line.startswith("#")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_contract_is_cut_between_sentences(passages: pl.DataFrame, language: str) -> None:
    """Its passages begin and end where sentences do, abbreviations and closing quotes in mind."""
    parts = passages.filter(pl.col("document_id") == f"{language}/contract.md").sort("ordinal")["text"].to_list()
    assert len(parts) > 1
    assert all(part[-1] in ".。”" for part in parts)
    assert all(any(sentence in part for part in parts) for sentence in languages.SENTENCES[language])


def test_lists_and_headings_are_kept(passages: pl.DataFrame) -> None:
    """The section's heading stands at its list, each item on its line."""
    own = passages.filter(pl.col("heading") == "退货规定 > 退货流程", pl.col("document_id") == "zh/return.md")
    assert own["text"].to_list() == [
        "- 在网站上填写退货申请表。\n- 将包裹交给快递员，或者送到自提点。\n- 货款将在十天内退回到您的银行卡。"
    ]


def test_chinese_is_put_together_without_spaces(passages: pl.DataFrame) -> None:
    """Neither a line end of the source nor a cut between sentences leaves a space."""
    own = passages.filter(pl.col("document_id").str.starts_with("zh/"))
    assert not [text for text in own["text"] if re.search(r"[\u3400-\u9fff，。] [\u3400-\u9fff]", text)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_near_duplicates_share_a_group_and_others_do_not(documents: pl.DataFrame, language: str) -> None:
    """Of the six documents of a language only the rules for returns and their older form are one."""
    own = documents.filter(pl.col("language") == language)
    groups = dict(own.select("document_id", "duplicate_group").iter_rows())
    assert groups.pop(f"{language}/return-old.md") == groups[f"{language}/return.md"] == f"{language}/return-old.md"
    assert len(set(groups.values())) == 5


PLANTED = {
    "ru": ("Как вернуть ещё не оплаченный счёт", "Как  вернуть: еще не оплаченный СЧЕТ?", "Как вернуть ещё не оплаченный счёт-фактуру"),
    "de": ("Größe des Straßenlagers ändern", "GRÖSSE des Strassenlagers andern!", "Größe des Straßenlagers ändern lassen"),
    "zh": ("如何取消第3个订单并申请退款", "如何取消 第３个订单，并申请「退款」？", "如何取消第3个订单并且申请退款"),
    "ar": ("كيف ألغي الطلب رقم 3 وأسترد المبلغ", "كَيْفَ الغي الطلـب رقم ٣، واسترد المبلغ؟", "كيف ألغي الطلب رقم 3 وأسترد المبالغ"),
}  # fmt: skip
OTHERS = {
    "ru": "Сколько стоит доставка крупной техники",
    "de": "Wie lange gilt die Garantie",
    "zh": "如何查询第3个订单的配送时间",
    "ar": "كيف أغير موعد التوصيل",
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_audit_finds_planted_leaks_and_no_others(language: str) -> None:
    """The held-out query itself; one that differs in case, accents, width and marks; one of a word or a letter more."""
    held, *leaking = PLANTED[language]
    rows = [("exact", held, "train"), ("normalised", leaking[0], "train"), ("near", leaking[1], "train")]
    rows += [("other", OTHERS[language], "train"), ("held", held, "test")]
    found = audit.leaks(pl.DataFrame(rows, schema=["query_id", "text", "split"], orient="row"), 0.7)
    assert {leak.train_id: leak.kind for leak in found} == {
        "exact": "exact",
        "normalised": "normalised",
        "near": "near-duplicate",
    }
    pairs = duplicates.near_duplicates([text for _, text, _ in rows[:-1]], [held], 0.7)
    assert [at for at, _, _ in pairs] == [0, 1, 2]


@pytest.mark.parametrize("language", LANGUAGES)
def test_near_duplicate_queries_get_one_split(tmp_path: Path, language: str) -> None:
    """By their cluster's hash; at every share of test, all three are on one side."""
    lines = [json.dumps({"_id": str(at), "text": text}) for at, text in enumerate(PLANTED[language])]
    (tmp_path / "q.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "q.csv").write_text("query_id,target_id,grade\n0,d,1\n1,d,1\n2,d,1\n", encoding="utf-8")
    files = JudgmentFiles(queries="q.jsonl", qrels="q.csv", language=language)
    sides = set()
    for share in (0.0, 0.25, 0.5, 0.75, 0.99):
        ids: dict[str, Any] = {"passage_ids": frozenset(), "document_ids": frozenset({"d"})}
        split = curated([files], tmp_path, **ids, shares=Shares(test=share, dev=0.0)).queries["split"].to_list()
        assert len(set(split)) == 1
        sides.add(split[0])
    assert sides == {"train", "test"}


def test_bm25_finds_inflected_unspaced_and_unpointed_queries(
    queries: pl.DataFrame, passages: pl.DataFrame, documents: pl.DataFrame
) -> None:
    """Over the corpus of all four languages at once, each query's first passage is of its document."""
    run = retrieval.bm25_run(queries, passages, 5, documents=documents)
    assert tables.checked(run, RUNS, "run").height == queries.height * 5
    first = run.filter(pl.col("rank") == 1).join(passages, on="passage_id")
    found = dict(first.select("query_id", "document_id").iter_rows())
    assert found == {one.query_id: f"{one.document_id}.md" for one in languages.QUERIES}


def test_every_query_carries_its_language(queries: pl.DataFrame) -> None:
    """The language of its file, four queries of each."""
    assert queries["language"].value_counts().sort("language").rows() == [(one, 4) for one in sorted(LANGUAGES)]


def test_extractive_queries_are_whole_sentences_of_every_language(made: Path, passages: pl.DataFrame) -> None:
    """Each document gives some, and a query that is a sentence stands in the document as it is."""
    found = tables.read(QUERIES, made / "synthetic/queries.parquet")
    assert set(found["language"]) == set(LANGUAGES)
    corpus = " ".join(" ".join(text.split()) for text in passages["text"])
    sentences = [text for text in found["text"] if text[-1] in ".。؟"]
    assert len(sentences) > 30
    assert [text for text in sentences if text not in corpus] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("除垢。水箱需要冲洗。", ["说明 机", "除垢。"]),
        ("कॉफ़ी मशीन की सफ़ाई कैसे करें। टंकी धोएँ।", ["说明 机", "कॉफ़ी मशीन की सफ़ाई कैसे करें।"]),
    ],
)
def test_two_chinese_signs_are_a_query_and_hindi_is_prose(text: str, expected: list[str]) -> None:
    """Signs count double, and vowel marks are letters."""
    assert extracted_queries("机", "说明", text, count=2, seed="a") == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_lexical_copy_rate_tells_copies_from_own_words(made: Path, passages: pl.DataFrame, language: str) -> None:
    """Extractive sentences are copies, whatever the script; a query in another language's words is none."""
    found = tables.read(QUERIES, made / "synthetic/queries.parquet").filter(
        pl.col("language") == language, pl.col("text").str.contains(r"[.。]$")
    )
    qrels = tables.read(QRELS, made / "synthetic/qrels.parquet").join(found, on="query_id", how="semi")
    assert lexical_copy_rate(found, qrels, passages) == pytest.approx(1.0)
    other = found.with_columns(text=pl.lit(OTHERS["de" if language != "de" else "ru"]))
    assert lexical_copy_rate(other, qrels, passages) == 0.0


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("如何取消订单", "short"),
        ("我的咖啡机指示灯一直亮着怎么办", "long"),
        ("как отменить заказ", "short"),
        ("как отменить заказ который уже оплачен", "long"),
        ("كَيْفَ أُلْغِي الطَّلَبَ", "short"),
        ("हिन्दी में ऑर्डर कैसे रद्द", "short"),
    ],
)
def test_slices_measure_length_in_words_of_any_script(text: str, length: str) -> None:
    """Six Chinese signs are three words, fifteen are eight; vowel marks part no word."""
    asked = pl.DataFrame([("q", text, "zh", "curated", "test")], schema=QUERIES.columns, orient="row")
    found = dict(slices.labels(asked, frozenset(), frozenset()).select("slice", "label").iter_rows())
    assert found["length"] == length


@pytest.mark.parametrize(("term", "query"), [("除垢", "怎么除垢"), ("накипь", "накипь"), ("الكلس", "الكِلْس")])
def test_domain_terms_are_found_in_any_script(term: str, query: str) -> None:
    """Common in the corpus and rare in the general set, whatever points it is typed with."""
    terms = slices.domain_words([f"{term} a{at}" for at in range(30)], [f"other words {at}" for at in range(30)])
    asked = pl.DataFrame([("q", query, "zh", "curated", "test")], schema=QUERIES.columns, orient="row")
    found = dict(slices.labels(asked, frozenset(), terms).select("slice", "label").iter_rows())
    assert writing.folded(term) in terms
    assert found["vocabulary"] == ("plain" if query.startswith("怎么") else "domain-terms")


_SHOWN = [one.query_id for one in languages.QUERIES if one.split == "test"]  # the page lists ten


def test_the_report_marks_direction_and_language(
    tmp_path: Path, queries: pl.DataFrame, passages: pl.DataFrame, documents: pl.DataFrame
) -> None:
    """Each query and passage on the page says its language, and lets the browser find its direction; no letter is cut."""
    test = queries.with_columns(split=pl.lit("test")).filter(pl.col("query_id").is_in(_SHOWN))
    best = retrieval.bm25_run(test, passages, 5, documents=documents)
    worst = best.with_columns(score=-pl.col("score"), rank=6 - pl.col("rank"))
    runs = pl.concat([worst.with_columns(system=pl.lit("base")), best.with_columns(system=pl.lit("tuned"))])
    qrels = pl.DataFrame(
        [
            (one.query_id, f"{one.document_id}.md", "document", 1, 1.0, "curated")
            for one in languages.QUERIES
            if one.query_id in _SHOWN
        ],
        schema=QRELS.columns,
        orient="row",
    )
    for table, frame, name in (
        (DOCUMENTS, documents, "corpus/documents"),
        (PASSAGES, passages, "corpus/passages"),
        (QUERIES, test, "mixed/queries"),
        (QRELS, qrels, "mixed/qrels"),
        (RUNS, runs, "runs"),
    ):
        tables.write(frame, table, tmp_path / f"{name}.parquet")
    test_page.write_leaks(tmp_path)
    test_page.write_metrics(tmp_path / "metrics")
    test_page.run_stage(tmp_path)
    html = (tmp_path / "reports/index.html").read_text(encoding="utf-8")
    found = changes(runs, test, qrels, passages, documents=documents)
    assert {one.language for one in found.improved} == set(LANGUAGES)
    for one in found.improved:
        assert f'<span class="query" dir="auto" lang="{one.language}">{one.query}</span>' in html
        assert all(f'<p dir="auto" lang="{hit.language}">' in html for hit in one.tuned.hits)


def test_doctor_says_that_an_english_base_does_not_know_them(base_model: Path) -> None:
    """The default base breaks Russian and Arabic into letters and knows hardly a Chinese sign; English it knows."""
    from burnish.evaluation.examination import tokens_of

    for language in LANGUAGES:
        texts = [text for name, text in languages.DOCUMENTS.items() if name.startswith(language)]
        assert [one.level for one in doctor.tokens(*tokens_of(texts, base_model / "tokenizer.json"))] == ["note"], language
    english = ["The supplier shall hand over the goods within ten working days, and the buyer shall pay for them."]
    assert doctor.tokens(*tokens_of(english, base_model / "tokenizer.json"))[0].level == "ok"


def test_the_documentation_names_every_stemmer() -> None:
    """Each of Snowball's languages stands in the table once, in the row of its stop words."""
    rows = re.findall(r"^\| ([A-Z][\w, ]+) \| Snowball \| (bm25s|stopwords-iso|none) \|", PAGE, re.MULTILINE)
    named = {name.lower(): words for names, words in rows for name in names.split(", ")}
    assert set(named) == set(Stemmer.algorithms()) - {"porter", "dutch_porter"}
    codes = {"sesotho": "st", "polish": "pl", "arabic": "ar", "greek": "el", "serbian": "sr", "tamil": "ta", "nepali": "ne"}
    assert all(stopwordsiso.has_lang(code) == (named[name] == "stopwords-iso") for name, code in codes.items())


def test_the_fragment_of_the_documentation_is_valid(tmp_path: Path) -> None:
    """Laid over params.yaml, every section satisfies its stage's knobs."""
    import runpy

    from burnish import knobs

    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, chosen in FRAGMENT.items():
        assert set(chosen) <= set(params[section])
        params[section] |= chosen
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), encoding="utf-8")
    for section in FRAGMENT:
        kind = runpy.run_path(str(ROOT / f"stages/{section}.py"))[f"{section.capitalize()}Knobs"]
        knobs.section(tmp_path / "params.yaml", section, kind)
    sources = licences.names(DocumentSources(sources=params["extract"]["sources"]), SearchLogs(logs=params["collect"]["logs"]))
    sources += [
        f"base model {params['base']['model']}",
        *(f"judgments {one['queries']}" for one in params["collect"]["judgments"]),
    ]
    assert set(FRAGMENT["export"]["licences"]) < set(sources)


@pytest.mark.parametrize(
    ("code", "said"), [("german", "write de"), ("zh-Hant", "write zh"), ("jp", "write ja"), ("??", "such as en")]
)
def test_a_language_that_is_no_code_is_told(tmp_path: Path, code: str, said: str) -> None:
    """In a query's own field, with its record, what was found and what was meant."""
    (tmp_path / "q.jsonl").write_text(json.dumps({"_id": "a", "text": "x", "language": code}), encoding="utf-8")
    (tmp_path / "q.csv").write_text("query_id,target_id,grade\na,d,1\n", encoding="utf-8")
    files = JudgmentFiles(queries="q.jsonl", qrels="q.csv", language="en")
    with pytest.raises(InputError, match=rf"q\.jsonl, record 1: language: expected an ISO 639 code.*{said}"):
        curated([files], tmp_path, passage_ids=frozenset(), document_ids=frozenset({"d"}), shares=Shares(test=0.0, dev=0.0))
