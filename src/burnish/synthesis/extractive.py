"""Queries from a passage's own words, for those who have no language model."""

import hashlib
import unicodedata

from burnish import writing
from burnish.documents.sentences import sentences
from burnish.synthesis.contents import usable

_PROSE = 0.75  # a sentence with a smaller share of letters and spaces is code or a table


def extracted_queries(title: str, heading: str, text: str, *, count: int, seed: str) -> list[str]:
    """At most `count` queries that a passage's own words make.

    Heading and title; the first sentence; and one other sentence, picked by a hash of `seed` (the inverse cloze task:
    Lee et al. 2019, arXiv:1906.00300, where a sentence stays in its passage one time in ten; here always, since a
    passage is what it is at search time). They teach a model to match words, hence an origin of their own.

    >>> text = "Joins two frames by a key. Rows without a match are left out."
    >>> extracted_queries("Frames", "Joins", text, count=3, seed="a")
    ['Joins Frames', 'Joins two frames by a key.', 'Rows without a match are left out.']
    """
    prose = [one for one in map(usable, sentences(" ".join(text.split()))) if one and _is_prose(one)]
    others = [one for one in prose[1:] if writing.width(one) >= 20]
    pick = int(hashlib.sha256(seed.encode()).hexdigest(), 16)
    candidates = [usable(f"{heading.rsplit(' > ', 1)[-1]} {title}"), *prose[:1]]
    candidates += [others[pick % len(others)]] if others else []
    return list(dict.fromkeys(one for one in candidates if one))[:count]


def _is_prose(sentence: str) -> bool:
    letters = "".join(one for one in sentence if unicodedata.category(one)[0] in "LM" or one == " ")
    return writing.width(letters) >= _PROSE * writing.width(sentence)
