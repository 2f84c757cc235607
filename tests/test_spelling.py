"""Which spellings are one question, and which signs make another."""

import pytest

from burnish.spelling import spelling


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Sort in C++?", "sort in ｃ＋＋"),
        ("如何 安装C++包", "如何安装 C++ 包"),
        ("a&&b", "a && b"),
        ("x += 1", "x+=1"),
        ("open .NET", "open .net!"),
        ("tea & coffee", "tea, coffee"),
        ("tea / coffee -- now...", "tea coffee now"),
        ("...and then", "and then"),
        ("is it élan?!", "is it elan"),
    ],
)
def test_spellings_of_a_question_are_one(one: str, other: str) -> None:
    """Case, width, accents, punctuation and white space are typing."""
    assert spelling(one) == spelling(other)


@pytest.mark.parametrize(
    "texts",
    [
        ("sort in C", "sort in C++", "sort in C#"),
        ("net core", ".net core", "安装net", "安装.net"),
        ("a b", "a && b", "a || b", "a == b", "a != b", "a => b", "a -> b"),
        ("python operator", "python ** operator", "python // operator"),
        ("??", "!!", "&&"),
    ],
)
def test_signs_that_mean_something_part_questions(texts: tuple[str, ...]) -> None:
    """Of the same words."""
    assert len({spelling(text) for text in texts}) == len(texts)
