"""Docstrings of installed packages: which objects, under which name, and that nothing of them runs."""

from pathlib import Path

import pytest

from burnish.documents import api_reference
from burnish.documents.blocks import Block
from burnish.errors import InputError

MODULE = '''"""The toy."""
from pathlib import Path
from toypackage.inner import alias, made
Path("ran").touch()

def public():
    """Do it."""

def _private():
    """Hide it."""

class Thing:
    """A thing."""

    def method(self):
        """Its method."""

    def __len__(self):
        """Its length."""

    def bare(self): ...

    def blank(self):
        """   """
'''


@pytest.fixture
def toypackage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of version 1.0, as if it were installed."""
    files = {
        "toypackage/__init__.py": MODULE,
        "toypackage/inner.py": 'def made():\n    """Made inside."""\n\nalias = made\n',
        "toypackage/_hidden.py": '"""Hidden."""\n',
        "toypackage-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: toypackage\nVersion: 1.0\n",
        "nameless-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: nameless\nVersion: 1.0\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_public_docstrings_are_found_where_they_are_defined(toypackage: Path) -> None:
    """Sorted by path in each object; no alias, no private object, no object without words."""
    assert list(api_reference.docstrings("toypackage", "1.0")) == [
        ("toypackage", "The toy."),
        ("toypackage.Thing", "A thing."),
        ("toypackage.Thing.method", "Its method."),
        ("toypackage.inner.made", "Made inside."),
        ("toypackage.public", "Do it."),
    ]


def test_nothing_of_the_package_runs(toypackage: Path) -> None:
    """The package is read as text: its code leaves no trace."""
    assert len(list(api_reference.docstrings("toypackage", "1.0"))) == 5
    assert not (toypackage / "ran").exists()


@pytest.mark.parametrize(
    ("package", "told"),
    [
        ("toypackage", "expected version 2.0, found 1.0; install toypackage==2.0 or set the version that is installed"),
        ("no-such-package", "no-such-package is not installed; install it in version 2.0"),
    ],
)
def test_another_version_is_refused(toypackage: Path, package: str, told: str) -> None:
    """The corpus is what params.yaml says or nothing."""
    with pytest.raises(InputError) as caught:
        list(api_reference.docstrings(package, "2.0"))
    assert told in str(caught.value)


def test_a_package_without_a_module_of_its_name_is_told(toypackage: Path) -> None:
    """Some distributions bring modules of other names, which are not searched for."""
    with pytest.raises(InputError, match="nameless is installed, but has no module of that name"):
        list(api_reference.docstrings("nameless", "1.0"))


def test_a_docstring_has_structure() -> None:
    """Underlined titles are headings; examples and drawn tables are code, whole."""
    docstring = "Add.\n\nNotes\n-----\nOne\ntwo.\n\n>>> add(1)\n2\n\n┌───┐\n│ a │\n\n│ b │\n└───┘"
    assert api_reference.blocks(docstring) == [
        Block("text", "Add."),
        Block("heading", "Notes", 1),
        Block("text", "One\ntwo."),
        Block("code", ">>> add(1)\n2"),
        Block("code", "┌───┐\n│ a │\n\n│ b │\n└───┘"),
    ]


def test_a_line_of_dashes_after_nothing_is_no_heading() -> None:
    """There is no title to underline."""
    assert [block.kind for block in api_reference.blocks("One.\n\n-----\nTwo.")] == ["text", "text"]
