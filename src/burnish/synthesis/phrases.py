"""Phrases: the words that a prompt's places are filled with where a knob chooses, from a file beside the prompts."""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from burnish.errors import InputError
from burnish.knobs import Knobs

FILE = "phrases.yaml"  # beside the prompt files


class Kinds(Knobs):
    """What a prompt is told of each kind; `any` where none is chosen."""

    any: str
    keywords: str
    question: str
    situation: str
    symptom: str


class Wordings(Knobs):
    """What a prompt is told of each wording; `any` where none is chosen."""

    any: str
    own: str
    official: str


class Phrases(Knobs):
    """The file, which explains each of its parts."""

    kinds: Kinds
    wordings: Wordings
    persona: str
    passages: Annotated[list[str], Field(min_length=3, max_length=3)]
    examples: str
    example: Annotated[str, Field(pattern=r"(?s)\{passage\}.*\{query\}")]

    @classmethod
    def read(cls, path: Path) -> "Phrases":
        """The phrases in the file at `path`.

        Raises:
            InputError: it is not there, not YAML, or lacks a phrase.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except ValidationError as error:
            first = error.errors()[0]
            found = f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
        except (FileNotFoundError, UnicodeDecodeError, yaml.YAMLError) as error:
            found = " ".join(str(error).split())
        raise InputError(f"{path}: expected the phrases of the repository's prompts/{FILE}, found {found}; copy it from there")
