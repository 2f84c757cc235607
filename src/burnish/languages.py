"""ISO 639: the codes by which tables and knobs name languages."""

_TWO_LETTERS = """
    aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et
    eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj kk
    kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny
    oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti
    tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
# Three letters for languages that have two, of those that the stemmer, the stop words or the script depend on.
_THREE_LETTERS = """
    ara:ar arm:hy hye:hy baq:eu eus:eu bul:bg cat:ca chi:zh zho:zh cze:cs ces:cs dan:da dut:nl nld:nl eng:en est:et fin:fi
    fre:fr fra:fr ger:de deu:de gre:el ell:el heb:he hin:hi hun:hu ind:id gle:ga ita:it jpn:ja khm:km kor:ko lao:lo lav:lv
    lit:lt may:ms msa:ms bur:my mya:my nep:ne nob:nb nno:nn nor:no per:fa fas:fa pol:pl por:pt rum:ro ron:ro rus:ru slo:sk
    slk:sk slv:sl spa:es srp:sr swe:sv tam:ta tha:th tur:tr ukr:uk urd:ur vie:vi yid:yi
"""
# Countries and names that are written where a code should stand.
_MEANT = """
    jp:ja cn:zh cz:cs dk:da gr:el ua:uk vn:vi us:en gb:en
    english:en german:de russian:ru chinese:zh arabic:ar french:fr spanish:es japanese:ja korean:ko
"""
_CODES = frozenset(_TWO_LETTERS.split())
_SHORTER = dict(pair.split(":") for pair in _THREE_LETTERS.split())
_MISTAKEN = dict(pair.split(":") for pair in _MEANT.split())


def language_code(text: str) -> str:
    """The ISO 639 code that `text` is, of two letters for the commoner languages.

    `und` (not known) and `mul` (several) are codes too; then each word's script decides how it is searched for.

    Raises:
        ValueError: it is none, with what it may have meant.

    >>> language_code("de"), language_code("deu"), language_code("mul")
    ('de', 'de', 'mul')
    """
    plain = text.strip().lower().replace("_", "-").split("-")[0]
    if text in _CODES or (len(text) == 3 and text.isascii() and text.isalpha() and text.islower()):
        return _SHORTER.get(text, text)
    meant = _MISTAKEN.get(plain) or (plain if plain in _CODES else None)
    raise ValueError(f"expected an ISO 639 code such as en, de or zh, found {text!r}" + (f"; write {meant}" if meant else ""))
