"""Licences of general sets, in words that a reader of the model card understands."""

import re

MS_MARCO = (
    "MS MARCO (Microsoft): its terms intend the data for non-commercial research purposes only; it is free of charge, without "
    "warranty, and grants no licence to the texts, which belong to others. Clear the rights before any other use of this model"
)
_NAMED = {"ms-marco": MS_MARCO}
_IS_MS_MARCO = re.compile(r"ms[-_ ]?marco", re.IGNORECASE)


def in_words(licence: str, *names: str) -> str:
    """The licence for manifest and model card: MS MARCO's terms are added wherever a name says that the data is MS MARCO.

    Args:
        licence: as the user wrote it; `ms-marco` stands for MS MARCO's terms.
        names: of the data set and of its files.

    >>> in_words("CC0", "team/questions")
    'CC0'
    >>> in_words("MIT", "team/msmarco-triplets").startswith("MIT; MS MARCO (Microsoft): its terms intend the data for non-comm")
    True
    """
    found = _NAMED.get(licence, licence)
    if MS_MARCO not in found and any(_IS_MS_MARCO.search(name) for name in names):
        return f"{found}; {MS_MARCO}"
    return found
