"""Passages from blocks: structure first, size in the model's own tokens second."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from burnish import writing
from burnish.documents.blocks import Block
from burnish.documents.sentences import middle, sentences

TokenCounts = Callable[[Sequence[str]], list[int]]  # the number of tokens of each text, special tokens left out


@dataclass(frozen=True)
class Sizes:
    """How large a passage may be, in tokens of the embedded text (title and heading included).

    `overlap` is how many tokens of a passage's end are repeated at the start of the next one of the same section.
    A passage of under `minimum` tokens takes in the section that follows it.
    """

    most: int
    overlap: int
    minimum: int


@dataclass(frozen=True)
class Passage:
    """A passage before it has an identity."""

    heading: str
    text: str


@dataclass(frozen=True)
class _Piece:
    path: tuple[str, ...]  # of headings, the outermost first
    text: str
    tokens: int
    heading_tokens: int
    joint: str  # what stands between this piece and the one before it, where both are in one passage

    @property
    def heading(self) -> str:
        """The path in one line."""
        return " > ".join(self.path)


def passages(blocks: Sequence[Block], title: str, sizes: Sizes, token_counts: TokenCounts) -> list[Passage]:
    """The passages of one document, in reading order; together they hold every word of its blocks.

    Greedy, since a passage should be as large as the model can read: fewer passages, each with more context. A block is
    cut only where it alone is too large: code and tables at line ends, prose at sentence ends, words as a last resort.
    """
    pieces = list(_pieces(blocks, title, sizes, token_counts))
    found: list[list[_Piece]] = []
    current: list[_Piece] = []
    for piece in pieces:
        if current and not _fits(current, piece, title, sizes, token_counts):
            found.append(current)
            current = _tail(current, sizes.overlap) if piece.path == current[-1].path else []
            if current and sum(p.tokens for p in current) + piece.tokens > _room(title, piece.heading, sizes, token_counts):
                current = []
        current.append(piece)
    if current:
        found.append(current)
    return [Passage(chosen[0].heading, _joined(chosen)) for chosen in found]


def passage_ids(document_id: str, found: Sequence[Passage]) -> list[str]:
    """An id for each passage that lasts as long as its text and its document's id do.

    A text that stands n times in one document gets n ids.

    >>> ids = passage_ids("a", [Passage("", "x"), Passage("", "y"), Passage("", "x")])
    >>> ids == passage_ids("a", [Passage("", "x"), Passage("", "z"), Passage("", "x")])[:1] + ids[1:]
    True
    >>> len(set(ids))
    3
    """
    seen: Counter[str] = Counter()
    ids = []
    for passage in found:
        digest = hashlib.sha256(f"{passage.heading}\0{passage.text}".encode()).hexdigest()[:12]
        seen[digest] += 1
        ids.append(f"{document_id}#{digest}" + (f".{seen[digest]}" if seen[digest] > 1 else ""))
    return ids


def _pieces(blocks: Sequence[Block], title: str, sizes: Sizes, token_counts: TokenCounts) -> Iterator[_Piece]:
    """Each block, or the parts of a block that is too large, with the path of headings above it."""
    path: list[tuple[int, str]] = []
    counts = token_counts([block.text for block in blocks])
    for at, (block, tokens) in enumerate(zip(blocks, counts, strict=True)):
        following = blocks[at + 1] if at + 1 < len(blocks) else None
        bare = following is None or (following.kind == "heading" and following.level <= block.level)
        if block.kind == "heading" and not bare:
            path = [(level, text) for level, text in path if level < block.level] + [(block.level, block.text)]
            continue
        outline = tuple(text for _, text in path)
        inside = token_counts([outline[-1]])[0] if outline else 0  # the heading's own line, where it stands inside a passage
        room = _room(title, " > ".join(outline), sizes, token_counts)
        joint = "\n" if block.kind == "list" else "\n\n"
        if tokens <= room:
            yield _Piece(outline, block.text, tokens, inside, joint)
            continue
        inner = "\n" if block.kind in {"code", "table", "list"} else " "
        parts = [part for part in (block.text.split("\n") if inner == "\n" else sentences(block.text)) if part.strip()]
        joints = [joint, *(inner if inner == "\n" else writing.joint(one, other) for one, other in pairwise(parts))]
        for part, part_tokens, between in _small_enough(list(zip(joints, parts, strict=True)), inner, room, token_counts):
            yield _Piece(outline, part, part_tokens, inside, between)


def _small_enough(
    parts: list[tuple[str, str]], inner: str, room: int, token_counts: TokenCounts
) -> Iterator[tuple[str, int, str]]:
    """(text, tokens, joint before it) of each piece, from parts with the joints before them."""
    for (joint, part), tokens in zip(parts, token_counts([part for _, part in parts]), strict=True):
        # No line or sentence end in reach: halve at white space, or anywhere in scripts without it, until it fits.
        cut = middle(part) if tokens > room else 0
        if cut == 0:
            yield part, tokens, joint
            continue
        seam = "" if not part[cut].isspace() and writing.unspaced(part[cut - 1 : cut + 1]) else inner
        halves = [(joint, part[:cut]), (seam, part[cut:].lstrip())]
        yield from _small_enough([half for half in halves if half[1]], inner, room, token_counts)


def _room(title: str, heading: str, sizes: Sizes, token_counts: TokenCounts) -> int:
    """Tokens left for text beside title, heading and the model's special tokens; at least half of the whole."""
    used = sum(token_counts([title, heading])) + 2
    return max(sizes.most - used, sizes.most // 2)


def _fits(current: list[_Piece], piece: _Piece, title: str, sizes: Sizes, token_counts: TokenCounts) -> bool:
    tokens = sum(p.tokens for p in current) + _inner_headings([*current, piece])
    if tokens + piece.tokens > _room(title, current[0].heading, sizes, token_counts):
        return False
    last = current[-1].path
    if piece.path in {current[0].path, last}:
        return True
    opens_chapter = last[: len(piece.path) - 1] != piece.path[:-1]  # headings above its own, which no line would tell
    return tokens < sizes.minimum and not opens_chapter


def _inner_headings(chosen: list[_Piece]) -> int:
    return sum(piece.heading_tokens for last, piece in pairwise(chosen) if piece.path != last.path)


def _tail(chosen: list[_Piece], overlap: int) -> list[_Piece]:
    tail: list[_Piece] = []
    for piece in reversed(chosen[1:]):
        if piece.path != chosen[-1].path or sum(p.tokens for p in tail) + piece.tokens > overlap:
            break
        tail.insert(0, piece)
    return tail


def _joined(chosen: list[_Piece]) -> str:
    """The passage's text; a section that begins inside it brings its own heading along as a line."""
    text = chosen[0].text
    for before, piece in pairwise(chosen):
        if piece.path != before.path:
            text += f"\n\n{piece.path[-1]}\n{piece.text}"
        else:
            text += piece.joint + piece.text
    return text
