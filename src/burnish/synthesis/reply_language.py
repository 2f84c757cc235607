"""Whether a text is in the language that was asked for."""

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

# Below this probability of the wanted language a text is in another one. Of the 5,440 recorded English queries, terms of
# an API among them, the least English one has 0.0067; two queries in any of 25 other languages have at most 0.0015.
_LEAST = 0.005
_SAME = {"nb": "no"}  # codes that the identifier knows by another name


def off_language(text: str, language: str) -> bool:
    """Whether `text` is surely not in `language`; a language that the identifier does not know is never said to be missed.

    By py3langid, naive Bayes over byte n-grams, 140 languages (Lui and Baldwin 2012, ACL demos, P12-3005). Sister
    languages such as Danish and Norwegian are not told apart, nor a few Chinese characters from Japanese.

    Args:
        text: the queries of a whole reply: one alone may be nothing but names.
        language: ISO 639 code.

    >>> off_language("how do I freeze a dependency", "en"), off_language("wie friere ich das ein", "en")
    (False, True)
    """
    chances = dict(_identifier().rank(text))
    return bool(chances.get(_SAME.get(language, language), 1.0) < _LEAST)


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
