"""The terms that BM25 matches: words, stemmed and without stop words, by the text's language and each word's script."""

import re
import unicodedata
from functools import cache

import regex
import Stemmer
import stopwordsiso
from bm25s import stopwords

from burnish import writing

# Languages of each script but Latin. The first one's stemmer serves words of the script in a text of another language: a
# Russian name in an English manual.
_SCRIPTS = {
    "Cyrillic": ("ru", "uk", "be", "bg", "mk", "sr", "kk", "ky", "mn", "tg", "tt", "ba", "cv", "os"),
    "Arabic": ("ar", "fa", "ur", "ps", "ug", "sd", "ckb"),
    "Greek": ("el",),
    "Devanagari": ("hi", "mr", "ne", "sa"),
    "Armenian": ("hy",),
    "Tamil": ("ta",),
    "Hebrew": ("he", "yi"),
}
_SCRIPT = {name: regex.compile(rf"\p{{{name}}}") for name in _SCRIPTS}
# In texts of these a Latin word is taken for English, and a lone sign for a word.
_NOT_LATIN = {"zh", "ja", "ko", "th", "lo", "km", "my", "ka", "am", "bo", "bn", "gu", "kn", "ml", "or", "pa", "si", "te", "dv"}
_NOT_LATIN |= {"und", "mul", *(code for codes in _SCRIPTS.values() for code in codes)} - {"sr"}
_LATIN = regex.compile(r"\p{Latin}")
_LATIN_WORD = re.compile(r"\w\w+")
_NORWEGIAN = {"nb": "no", "nn": "no"}
_DOTLESS = {"tr", "az"}
_STOP_WORDS = {
    "da": stopwords.STOPWORDS_DANISH,
    "de": stopwords.STOPWORDS_GERMAN,
    "en": stopwords.STOPWORDS_EN,
    "es": stopwords.STOPWORDS_SPANISH,
    "fr": stopwords.STOPWORDS_FRENCH,
    "it": stopwords.STOPWORDS_ITALIAN,
    "nl": stopwords.STOPWORDS_DUTCH,
    "no": stopwords.STOPWORDS_NORWEGIAN,
    "pt": stopwords.STOPWORDS_PORTUGUESE,
    "ru": stopwords.STOPWORDS_RUSSIAN,
    "sv": stopwords.STOPWORDS_SWEDISH,
    "tr": stopwords.STOPWORDS_TURKISH,
}


def passage_terms(text: str, language: str) -> list[str]:
    """The terms that a passage is found by; of Chinese, Japanese, Korean, Thai and the like each pair of signs, and each sign.

    Args:
        text: any text.
        language: ISO 639 code; one without a stemmer gives words as they are. `und` and `mul` tell nothing: then each word's
            script decides.

    >>> passage_terms("The tables are joined", "en"), passage_terms("订单 Nr. 7a", "zh")
    (['tabl', 'join'], ['订', '单', '订单', 'nr', '7a'])
    """
    signs = language in _NOT_LATIN
    return [
        term
        for run in _runs(text, language)
        for term in ([*(_signs(run) if signs else ()), *writing.pairs(run)] if writing.in_pairs(run) else _term(run, language))
    ]


def query_terms(text: str, language: str) -> list[str]:
    """The terms of a query for passages of a language: as theirs, but of pairs of signs only, so that no lone sign matches.

    >>> query_terms("取消订单", "zh"), query_terms("茶", "zh")
    (['取消', '消订', '订单'], ['茶'])
    """
    return [
        term
        for run in _runs(text, language)
        for term in (writing.pairs(run) if writing.in_pairs(run) else _term(run, language))
    ]


def _runs(text: str, language: str) -> list[str]:
    if language in _NOT_LATIN:
        return writing.runs(unicodedata.normalize("NFKC", text).lower())
    if language in _DOTLESS:
        text = text.replace("İ", "i").replace("I", "ı")
    words = _LATIN_WORD.findall(text.lower())
    return [run for word in words for run in (writing.runs(word) if writing.has_pairs(word) else [word])]


def _signs(run: str) -> list[str]:
    signs = writing.clusters(run)
    return signs if len(signs) > 1 else []


@cache
def _term(word: str, language: str) -> tuple[str, ...]:
    """The term of a word, or none of a stop word or a lone letter."""
    language, latin = _language_of(word, _NORWEGIAN.get(language, language))
    if len(word) < 2 or (word if latin else writing.folded(word)) in _stop_words(language):
        return ()
    stemmer = _stemmer(language)
    stem = stemmer.stemWord(word) if stemmer else word
    # Latin accents stay where the language's stemmer leaves them: there they tell words apart.
    return (stem if latin else writing.folded(stem),)


def _language_of(word: str, language: str) -> tuple[str, bool]:
    """The language by which a word is stemmed, the text's if it is written in the word's script; and whether that is Latin."""
    if word.isascii() or _LATIN.search(word):
        return ("en" if language in _NOT_LATIN else language), True
    codes = next((_SCRIPTS[name] for name, found in _SCRIPT.items() if found.search(word)), (language,))
    return (language if language in codes else codes[0]), False


@cache
def _stemmer(language: str) -> Stemmer.Stemmer | None:
    """Snowball's stemmer, where there is one."""
    try:
        return Stemmer.Stemmer(language)
    except KeyError:
        return None


@cache
def _stop_words(language: str) -> frozenset[str]:
    """Stop words as they are and folded: bm25s' where it has a list, else stopwords-iso's, where that has one."""
    listed = _STOP_WORDS.get(language) or (stopwordsiso.stopwords(language) if stopwordsiso.has_lang(language) else ())
    return frozenset(listed) | frozenset(map(writing.folded, listed))
