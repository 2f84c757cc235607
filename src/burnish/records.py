"""Records as people keep them: JSON lines, and the words that every kind of record shares."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from burnish.errors import InputError
from burnish.languages import language_code

Language = Annotated[str, AfterValidator(language_code)]  # ISO 639
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")  # half a character, if its other half does not follow


def json_lines(path: Path) -> Iterator[dict[str, object]]:
    """The objects of a JSON-lines file.

    Raises:
        InputError: naming the line that is not UTF-8, not JSON, not Unicode or not an object.
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a file of JSON lines, found none")
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                if _SURROGATE.search(line):
                    json.dumps(record, ensure_ascii=False).encode()
            except (ValueError, RecursionError) as error:  # UnicodeError is a ValueError
                raise InputError(f"{path}, line {number}: expected a JSON object in UTF-8; {error}") from error
            if not isinstance(record, dict):
                raise InputError(f"{path}, line {number}: expected a JSON object, found {type(record).__name__}")
            yield record
