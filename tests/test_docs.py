"""The documentation against the code and the results."""

import ast
import json
import re
from typing import Any

import yaml

from burnish.cli import cli
from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))


def between(name: str) -> str:
    """The part of the README between the markers `name:begin` and `name:end`."""
    return re.split(rf"<!-- {name}:(?:begin|end)[^>]*-->", README)[1]


def test_the_readme_lists_every_stage() -> None:
    """The README's stage table names each stage of dvc.yaml, and no other."""
    table = README.split("| stage | what it does |")[1].split("\n\n")[0]
    named = {name.strip() for row in table.splitlines()[2:] for name in row.split("|")[1].split(",")}
    assert named == set(PIPELINE["stages"])


def test_the_tree_lists_every_folder_of_the_library() -> None:
    """The README's tree names each package of the library, and no other."""
    tree = README.split("    src/burnish/  ")[1].split("    data/  ")[0]
    named = set(re.findall(r"^      (\w+)/", tree, re.MULTILINE))
    assert named == {path.parent.name for path in (ROOT / "src/burnish").glob("*/__init__.py")}


def test_every_path_that_the_pages_name_is_there() -> None:
    """A file of the library that README, ARCHITECTURE or CONTRIBUTING names by its path exists."""
    for page in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for name in re.findall(r"`((?:src|stages|tests|benchmarks)/[\w/]+\.\w+)`", (ROOT / page).read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{page} names {name}"


def test_the_result_table_is_the_metrics() -> None:
    """Each figure in the README's result table stands in metrics/retrieval.json."""
    found = json.loads((ROOT / "metrics/retrieval.json").read_text(encoding="utf-8"))
    table = between("table")
    for part, label in (("test", "default domain"), ("general", "general")):
        row = next(line for line in table.splitlines() if label in line.lower())
        delta = found[part]["delta"]
        for value in (found[part]["base"]["ndcg@10"], found[part]["tuned"]["ndcg@10"]):
            assert f"{value:.3f}" in row
        for value in (delta["ndcg@10"], delta["ndcg@10_low"], delta["ndcg@10_high"]):
            assert f"{value:+.3f}" in row


def test_params_fragments_in_the_readme_are_knobs() -> None:
    """Each YAML fragment in the README names sections and knobs that params.yaml has."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    fragments = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert fragments
    for fragment in fragments:
        for section, knobs in yaml.safe_load(fragment).items():
            assert set(knobs) <= set(params[section])


def test_every_command_is_documented() -> None:
    """Each subcommand of `burnish` stands in the README with an example, and has a help text."""
    for name, command in cli.commands.items():
        assert f"burnish {name}" in README
        assert command.help


def test_rows_of_the_change_table_are_tested() -> None:
    """The README's table "change this, and these stages run" is the one that test_end_to_end runs with real DVC."""
    tree = ast.parse((ROOT / "tests/test_end_to_end.py").read_text(encoding="utf-8"))
    assigned = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and any(getattr(target, "id", "") == "CHANGES" for target in getattr(node, "targets", [getattr(node, "target", None)]))
    )
    tested = ast.literal_eval(assigned.value)  # type: ignore[arg-type]
    rows = [line.split("|")[1:3] for line in between("rows").strip().splitlines()[2:]]
    assert {change.strip(): stages.strip() for change, stages in rows} == {
        change: ", ".join(stages) for change, stages in tested.items()
    }


def test_no_document_names_a_private_place() -> None:
    """No tracked text names a folder of somebody's machine."""
    for path in [*ROOT.glob("*.md"), *ROOT.glob("src/**/*.py"), *ROOT.glob("stages/*.py"), ROOT / "params.yaml"]:
        assert not re.search(r"/(?:home|root|Users)/", path.read_text(encoding="utf-8")), path
