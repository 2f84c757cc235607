"""Docstrings of installed packages as documents, read statically: nothing of the package is imported or run."""

import logging
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import griffe

from burnish.documents.blocks import Block
from burnish.errors import InputError

_UNDERLINE = re.compile(r"^\s*[-=~^]{3,}\s*$")


def docstrings(package: str, expected_version: str) -> Iterator[tuple[str, str]]:
    """(dotted path, docstring) of each public object, at the place where it is defined and never at an alias.

    Public: no part of the path begins with an underscore.

    Raises:
        InputError: the package is not installed, or in another version.
    """
    try:
        found = version(package)
    except PackageNotFoundError as error:
        raise InputError(f"sources: package {package} is not installed; install it in version {expected_version}") from error
    if found != expected_version:
        raise InputError(
            f"sources: package {package}: expected version {expected_version}, found {found}; "
            f"install {package}=={expected_version} or set the version that is installed"
        )
    logging.getLogger("griffe").setLevel(logging.ERROR)  # it tells of each odd stub; none matters to a docstring's text
    try:
        loaded = griffe.load(package, allow_inspection=False, resolve_aliases=False)
    except ModuleNotFoundError as error:
        raise InputError(f"sources: package {package} is installed, but has no module of that name; leave it out") from error
    yield from _walk(loaded)


def _walk(node: griffe.Object | griffe.Alias) -> Iterator[tuple[str, str]]:
    if node.docstring and node.docstring.value.strip():
        yield node.path, node.docstring.value
    for name, member in sorted(node.members.items()):
        if not member.is_alias and not name.startswith("_"):
            yield from _walk(member)


def blocks(docstring: str) -> list[Block]:
    r"""A docstring's paragraphs, sections (numpydoc's underlined titles) and examples.

    >>> [b.kind for b in blocks("Add.\n\nParameters\n----------\nx\n    A number.\n\n>>> add(1)\n2")]
    ['text', 'heading', 'text', 'code']
    """
    found: list[Block] = []
    paragraph: list[str] = []

    def close() -> None:
        if text := "\n".join(paragraph).strip("\n").rstrip():
            code = text.lstrip().startswith((">>>", "┌", "shape:")) or text.startswith("    ")
            found.append(Block("code" if code else "text", text))
        paragraph.clear()

    lines = docstring.splitlines()
    for number, line in enumerate(lines):
        if _UNDERLINE.match(line) and paragraph:
            title = paragraph.pop().strip()
            close()
            found.append(Block("heading", title, 1))
        elif not line.strip() and not _inside_table(lines, number):
            close()
        else:
            paragraph.append(line)
    close()
    return found


def _inside_table(lines: list[str], number: int) -> bool:
    return 0 < number < len(lines) - 1 and lines[number - 1].lstrip()[:1] == "│" == lines[number + 1].lstrip()[:1]
