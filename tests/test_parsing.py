"""What comes out of a file of each format, and how one that cannot or must not be read is told."""

import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import pytest
from fpdf import FPDF

from burnish.documents import parsing
from burnish.documents.blocks import Block, ParseError

PARAGRAPH = (
    "The supplier shall keep the goods insured at its own cost until they have been delivered to the place that the"
    " buyer has named in the order, and shall give proof of the insurance whenever the buyer asks for it."
)
HTML = """<h1>Guide</h1><p>Hello
there.</p><h2>Tea</h2><ul><li>boil</li><li>pour</li></ul><pre>x = 1
  y</pre><table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>
"""
MARKDOWN = """# Guide

Hello
there.

## Tea

- boil
- pour

```
x = 1
  y
```

| A | B |
|---|---|
| 1 | 2 |
"""
RST = """Guide
=====

Hello
there.

Tea
---

- boil
- pour

::

  x = 1
    y

== ==
A  B
== ==
1  2
== ==
"""
SOURCES = {".html": HTML, ".md": MARKDOWN, ".rst": RST}


def parsed(tmp_path: Path, suffix: str, content: str | bytes) -> list[Block]:
    path = tmp_path / f"document{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return parsing.blocks(path)


def kind_of_failure(tmp_path: Path, suffix: str, content: str | bytes) -> str:
    with pytest.raises(ParseError) as caught:
        parsed(tmp_path, suffix, content)
    return caught.value.kind


def pdf(*pages: Callable[[FPDF], object], encrypted: bool = False) -> bytes:
    document = FPDF(format="A4")
    document.set_auto_page_break(auto=False)
    for page in pages:
        document.add_page()
        document.set_font("Helvetica", size=11)
        page(document)
    if encrypted:
        document.set_encryption(owner_password="owner", user_password="user")  # noqa: S106 - of a file made here
    return bytes(document.output())


def column(document: FPDF, text: str, size: int = 11, style: str = "") -> None:
    document.set_font("Helvetica", size=size, style=style)
    document.multi_cell(160, 6, text, align="L", new_x="LMARGIN", new_y="NEXT")
    document.ln(4)


def lines(*texts: str) -> Callable[[FPDF], None]:
    def draw(document: FPDF) -> None:
        for number, text in enumerate(texts):
            document.text(20, 30 + 6 * number, text)

    return draw


@pytest.mark.parametrize("suffix", SOURCES)
def test_markup_yields_every_kind_of_block(tmp_path: Path, suffix: str) -> None:
    """Headings keep their level, paragraphs are re-flowed, lists, code and tables stay whole, in reading order."""
    assert parsed(tmp_path, suffix, SOURCES[suffix]) == [
        Block("heading", "Guide", 1),
        Block("text", "Hello there."),
        Block("heading", "Tea", 2),
        Block("list", "- boil\n- pour"),
        Block("code", "x = 1\n  y"),
        Block("table", "A | B\n1 | 2"),
    ]


def test_docx_yields_headings_paragraphs_lists_and_tables(tmp_path: Path) -> None:
    """A Word file's styles decide what its paragraphs are."""
    document = docx.Document()
    document.add_heading("Guide", 0)
    document.add_heading("Tea", 1)
    document.add_paragraph("Hello there.")
    document.add_paragraph("boil", style="List Bullet")
    document.add_paragraph("pour", style="List Bullet")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "1", "2"
    document.save(str(tmp_path / "source.docx"))
    assert parsed(tmp_path, ".docx", (tmp_path / "source.docx").read_bytes()) == [
        Block("heading", "Guide", 1),
        Block("heading", "Tea", 1),
        Block("text", "Hello there."),
        Block("list", "- boil\n- pour"),
        Block("table", "1 | 2"),
    ]


def test_html_scripts_and_menus_are_left_out(tmp_path: Path) -> None:
    """Scripts, styles, navigation and a page's footer are no text; a header that holds the title stays."""
    found = parsed(
        tmp_path,
        ".html",
        "<head><title>t</title><style>p{}</style></head><body><nav><a href=x>Home</a></nav>"
        "<header><h1>Pump</h1></header>"
        "<script>steal()</script><p>Turn <b>off</b> the pump.<script>again()</script> Wait.</p>"
        "<div class='sidebar-menu'><a href=x>Other pages</a></div><footer>Imprint</footer></body>",
    )
    assert found == [Block("heading", "Pump", 1), Block("text", "Turn off the pump. Wait.")]


def test_html_aside_with_content_is_kept(tmp_path: Path) -> None:
    """What looks like page furniture by its name, yet holds more than links, is content."""
    found = parsed(tmp_path, ".html", "<p>One.</p><aside class='sidebar'><p>Mind the <a href=x>gap</a> here.</p></aside>")
    assert found == [Block("text", "One."), Block("text", "Mind the gap here.")]


def test_html_table_that_lays_out_a_page_is_taken_apart(tmp_path: Path) -> None:
    """A table with headings inside is no table of data."""
    found = parsed(tmp_path, ".html", "<table><tr><td><img></td><td><h2>Camera</h2><p>Tap it.</p></td></tr></table>")
    assert found == [Block("heading", "Camera", 2), Block("text", "Tap it.")]


def test_html_in_its_declared_encoding(tmp_path: Path) -> None:
    """A page is read in the encoding its meta element names."""
    assert parsed(tmp_path, ".html", "<meta charset='windows-1252'><p>Käse €".encode("cp1252")) == [Block("text", "Käse €")]


def test_html_names_no_file_that_is_opened(tmp_path: Path) -> None:
    """An external entity of a document is not resolved."""
    (tmp_path / "secret.txt").write_text("secret")
    source = f"<!DOCTYPE html [<!ENTITY e SYSTEM 'file://{tmp_path}/secret.txt'>]><p>a &e; b</p>"
    assert "secret" not in " ".join(block.text for block in parsed(tmp_path, ".html", source)).replace("secret.txt", "")


def test_markdown_front_matter_is_left_out_and_html_read(tmp_path: Path) -> None:
    """YAML before the text is none of it; HTML inside is read like a page's, its scripts dropped."""
    source = "---\ntitle: x\n---\n\nHello <b>you</b>.\n\n<script>bad()</script>\n\n<details><p>More.</p></details>\n"
    assert parsed(tmp_path, ".md", source) == [Block("text", "Hello you."), Block("text", "More.")]


def test_rst_reads_no_other_file(tmp_path: Path) -> None:
    """The include, raw and csv-table directives of a hostile document yield nothing of the files they name."""
    (tmp_path / "secret.txt").write_text("hunter2")
    secret = tmp_path / "secret.txt"
    source = (
        f"Before.\n\n.. include:: {secret}\n\n.. raw:: html\n   :file: {secret}\n\n"
        f".. csv-table:: x\n   :file: {secret}\n\n"
        f".. literalinclude:: {secret}\n\nAfter.\n"
    )
    texts = [block.text for block in parsed(tmp_path, ".rst", source)]
    assert (texts[0], texts[-1]) == ("Before.", "After.")
    assert "hunter2" not in " ".join(texts)


def test_rst_keeps_the_text_of_sphinx(tmp_path: Path) -> None:
    """Roles and directives that docutils does not know keep their text."""
    source = (
        "See :py:func:`~os.path.join` and :ref:`this part <label>`.\n\n"
        ".. versionadded:: 3.2\n\n   Faster.\n\n.. odd::\n\n   Kept.\n"
    )
    found = parsed(tmp_path, ".rst", source)
    assert found[0].text == "See os.path.join and this part."
    assert [block.text for block in found[1:3]] == ["3.2", "Faster."]
    assert "Kept." in found[3].text


def test_pdf_paragraphs_are_reflowed_between_headings(tmp_path: Path) -> None:
    """The lines of a paragraph are joined, numbered, large and capital lines are headings with levels."""

    def page(document: FPDF) -> None:
        column(document, "Supply Agreement", size=18)
        column(document, "ARTICLE IV: INSURANCE", style="B")
        column(document, PARAGRAPH)
        column(document, "4.1 Proof of Insurance")
        column(document, PARAGRAPH)
        column(document, "3. TERM")
        column(document, PARAGRAPH)

    assert parsed(tmp_path, ".pdf", pdf(page)) == [
        Block("heading", "Supply Agreement", 1),
        Block("heading", "ARTICLE IV: INSURANCE", 1),
        Block("text", PARAGRAPH),
        Block("heading", "4.1 Proof of Insurance", 3),
        Block("text", PARAGRAPH),
        Block("heading", "3. TERM", 2),
        Block("text", PARAGRAPH),
    ]


def test_pdf_hyphens_at_line_ends_are_undone(tmp_path: Path) -> None:
    """A word parted at a line's end is joined; one that has its hyphen elsewhere too keeps it."""
    page = lines(
        "The well-known buyer gives the seller full indemni-",
        "fication against all claims by third parties of well-",
        "known origin, whatever they are, and wherever made.",
    )
    assert " ".join(block.text for block in parsed(tmp_path, ".pdf", pdf(page))) == (
        "The well-known buyer gives the seller full indemnification against all claims by third parties of well-known"
        " origin, whatever they are, and wherever made."
    )


def test_pdf_headers_footers_and_page_numbers_are_removed(tmp_path: Path) -> None:
    """What recurs at the edges of pages is left out, and a sentence goes on over the page's end."""

    def page(number: int, *body: str) -> Callable[[FPDF], None]:
        def draw(document: FPDF) -> None:
            document.text(20, 12, f"ACME Manual, revision 7, sheet {number}")
            lines(*body)(document)
            document.text(100, 285, f"- {number} -")

        return draw

    first = page(1, "The valve must be closed before the lid of the", "vessel is opened, since the steam that is left")
    second = page(2, "inside it would otherwise escape and burn the", "hands of whoever stands in front of the vessel.")
    third = page(3, "Wear gloves.")
    sentence = (
        "The valve must be closed before the lid of the vessel is opened, since the steam that is left inside it would"
        " otherwise escape and burn the hands of whoever stands in front of the vessel."
    )
    assert [block.text for block in parsed(tmp_path, ".pdf", pdf(first, second, third))] == [sentence, "Wear gloves."]


def test_pdf_lists_and_tables_stay_whole(tmp_path: Path) -> None:
    """Items that follow each other are one list, rows that follow each other one table."""

    def page(document: FPDF) -> None:
        lines("The parts are:", "(a) the lid;", "(b) the valve; and", "(c) the vessel.")(document)
        for row, cells in enumerate([("Part", "Price"), ("lid", "3"), ("valve", "7")]):
            for place, cell in enumerate(cells):
                document.text(20 + 60 * place, 80 + 6 * row, cell)

    assert parsed(tmp_path, ".pdf", pdf(page)) == [
        Block("text", "The parts are:"),
        Block("list", "(a) the lid;\n(b) the valve; and\n(c) the vessel."),
        Block("table", "Part | Price\nlid | 3\nvalve | 7"),
    ]


def test_plain_text_is_reflowed(tmp_path: Path) -> None:
    """Hard-wrapped paragraphs are joined, numbered and capital lines are headings, and bullets one list."""
    source = (
        "USER MANUAL\n\n1. Safety First\n\nNever open the lid of the vessel while the steam\nis hot, and wait until"
        " the valve has cooled.\n\n* gloves\n* goggles\n"
    )
    assert parsed(tmp_path, ".txt", source) == [
        Block("heading", "USER MANUAL", 1),
        Block("heading", "1. Safety First", 2),
        Block("text", "Never open the lid of the vessel while the steam is hot, and wait until the valve has cooled."),
        Block("list", "* gloves\n* goggles"),
    ]


def test_chinese_lines_are_joined_without_spaces(tmp_path: Path) -> None:
    """In Markdown, HTML and plain text; code keeps its lines, and a line break that the author set is a space."""
    assert parsed(tmp_path, ".md", "第一行，\n第二行 and\nmore") == [Block("text", "第一行，第二行 and more")]
    source = "<p>第一<br>第二</p><pre>第一\n第二</pre><p>第\n一</p>"
    assert parsed(tmp_path, ".html", source) == [Block("text", "第一 第二"), Block("code", "第一\n第二"), Block("text", "第一")]
    assert parsed(tmp_path, ".txt", "买方应当自发票开具之日起十个银行工作日\n内付款。") == [
        Block("text", "买方应当自发票开具之日起十个银行工作日内付款。")
    ]


@pytest.mark.parametrize(
    ("label", "codec", "text"),
    [
        ("gb2312", "gb18030", "镕基"),
        ("Shift_JIS", "cp932", "①高"),
        ("windows-1251", "cp1251", "Ёлка"),
        ("iso-8859-8-i", "iso-8859-8", "שלום"),
    ],
)
def test_html_in_the_encoding_that_browsers_mean(tmp_path: Path, label: str, codec: str, text: str) -> None:
    """gb2312 is read as gb18030, Shift_JIS as Windows writes it."""
    page = f'<meta charset="{label}"><p>{text}</p>'
    assert parsed(tmp_path, ".html", page.encode(codec)) == [Block("text", text)]


RUSSIAN = "Поставщик обязуется передать товар покупателю в срок, который указан\nв настоящем договоре."
GERMAN = "Der Lieferant verpflichtet sich, dem Käufer die bestellte Ware innerhalb\nder Frist zu übergeben."
CHINESE = "供应商应当按照本合同的规定，将货物的所有权转移给买方，买方应当接收货物并支付相应的\n价款。"
ARABIC = "يلتزم المورد بتسليم البضاعة إلى المشتري خلال عشرة أيام عمل من تاريخ التوقيع على\nهذا العقد."


@pytest.mark.parametrize(
    ("paragraphs", "levels"),
    [
        (["Глава 2. Поставка", "Статья 5", "Общие положения", RUSSIAN], [1, 2, 0]),
        (["1. Предмет договора", RUSSIAN, "2. Цена товара", RUSSIAN], [2, 0, 2, 0]),
        ([RUSSIAN, "1. Налейте воду", "2. Нажмите кнопку", "3. Подождите минуту", RUSSIAN], [0, 0, 0]),
        (["Kapitel 2", "Lieferung und Abnahme", GERMAN], [1, 0]),
        (["第二章　交货", "第三条", CHINESE], [1, 3, 0]),
        (["一、合同标的", CHINESE, "二、价款", CHINESE], [2, 0, 2, 0]),
        ([CHINESE, "1、打开电源", "2、按下按钮", "3、等待一分钟", CHINESE], [0, 0, 0]),
        (["제1조 (목적)", "이 계약은 판매자가 구매자에게 물품을 공급하고 구매자가 대금을 지급하는 데 필요한\n사항을 정한다."], [3, 0]),
        (["المادة الأولى: موضوع العقد", ARABIC], [2, 0]),
        (["第三条规定的义务不受本条款的影响，双方应当继续履行各自的义务。", CHINESE], [0, 0]),
    ],
)  # fmt: skip
def test_headings_of_plain_text_in_other_languages(tmp_path: Path, paragraphs: list[str], levels: list[int]) -> None:
    """By the names of divisions, and by a number that stands alone; numbers one after the other are a list."""
    assert [block.level for block in parsed(tmp_path, ".txt", "\n\n".join(paragraphs))] == levels


@pytest.mark.parametrize(
    "items",
    ["а) товар\nб) цена", "（一）货物\n（二）价款", "①货物\n②价款", "1- البضاعة\n2- الثمن", "가. 물품\n나. 가격"],
)
def test_items_are_known_by_the_enumerators_of_the_script(tmp_path: Path, items: str) -> None:
    """Letters, numerals and signs that lists are numbered with."""
    assert [block.kind for block in parsed(tmp_path, ".txt", items)] == ["list"]


def placed_pdf(path: Path, lines: list[tuple[float, float, str]]) -> None:
    """A page with each text at its place (left, bottom), in a font that no file holds: every sign 10 points wide.

    The signs' codes are their Unicode points, drawn in the order given, as a page of Arabic is: the last letter first.
    """
    shown = [f"1 0 0 1 {left} {bottom} Tm <{text.encode('utf-16-be').hex()}> Tj" for left, bottom, text in lines]
    content = f"BT /F 10 Tf {' '.join(shown)} ET"
    table = "/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <0000> <ffff> endcodespacerange 1 beginbfrange <0000> <ffff> <0000> endbfrange endcmap"
    kind = "/Type /Font /BaseFont /Signs"
    parts = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(content)} >> stream\n{content}\nendstream",
        f"<< {kind} /Subtype /Type0 /Encoding /Identity-H /DescendantFonts [6 0 R] /ToUnicode 7 0 R >>",
        f"<< {kind} /Subtype /CIDFontType2 /DW 1000 /CIDSystemInfo << /Registry (A) /Ordering (I) /Supplement 0 >> /FontDescriptor 8 0 R >>",
        f"<< /Length {len(table)} >> stream\n{table}\nendstream",
        "<< /Type /FontDescriptor /FontName /Signs /Flags 4 /FontBBox [0 -200 1000 800] /ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>",
    ]
    body, places = "%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(body))
        body += f"{number} 0 obj {part} endobj\n"
    rows = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 9\n0000000000 65535 f \n{rows}trailer << /Size 9 /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    path.write_bytes((body + end).encode("latin-1"))


def test_arabic_pdf_is_read_from_the_right(tmp_path: Path) -> None:
    """Lines that begin at the right edge are one paragraph, though their left ends differ; a short one ends it."""
    lines = ["يلتزم المورد بتسليم البضاعة إلى المشتري خلال", "عشرة أيام عمل من تاريخ التوقيع على هذا", "العقد.", "يدفع المشتري ثمن البضاعة خلال ثلاثين يوما من", "تاريخ الفاتورة."]  # fmt: skip
    placed_pdf(
        tmp_path / "a.pdf",
        [(560 - 10 * len(line), 700 - 14 * row, line[::-1]) for row, line in enumerate(lines)],
    )
    assert parsing.blocks(tmp_path / "a.pdf") == [
        Block("text", " ".join(lines[:3])),
        Block("text", " ".join(lines[3:])),
    ]


def test_chinese_pdf_is_joined_without_spaces(tmp_path: Path) -> None:
    """A line that ends its sentence early ends the paragraph, since one more sign had room."""
    lines = ["供应商应当按照本合同的规定，将货物的所有权转移给买方，买方应当接收货物并支付相应的", "价款。", "货物的价格以人民币计算，包括增值税、包装费和标识费。"]  # fmt: skip
    placed_pdf(tmp_path / "a.pdf", [(40, 700 - 14 * row, line) for row, line in enumerate(lines)])
    assert parsing.blocks(tmp_path / "a.pdf") == [Block("text", lines[0] + lines[1]), Block("text", lines[2])]


def test_a_hyphen_that_waits_for_its_word_stays(tmp_path: Path) -> None:
    """At the end of a line, before "und"."""
    source = "Der Verkäufer trägt sämtliche Hin-\nund Rückfahrtkosten der bestellten Ware."
    assert (
        parsed(tmp_path, ".txt", source)[0].text
        == "Der Verkäufer trägt sämtliche Hin- und Rückfahrtkosten der bestellten Ware."
    )


def test_scan_is_empty(tmp_path: Path) -> None:
    """A PDF of pictures alone has no text, which is told as such."""
    assert kind_of_failure(tmp_path, ".pdf", pdf(lambda document: document.rect(20, 20, 50, 50))) == "empty"


def test_encrypted_pdf(tmp_path: Path) -> None:
    """A PDF that needs a password is told as encrypted."""
    assert kind_of_failure(tmp_path, ".pdf", pdf(lines("secret"), encrypted=True)) == "encrypted"


def test_encrypted_docx(tmp_path: Path) -> None:
    """Word wraps an encrypted file in a compound file that holds a stream of this name."""
    wrapped = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500) + "EncryptedPackage".encode("utf-16-le")
    assert kind_of_failure(tmp_path, ".docx", wrapped) == "encrypted"


@pytest.mark.parametrize("suffix", [".pdf", ".docx"])
@pytest.mark.parametrize("content", [b"", b"no such format", b"%PDF-1.7\n%%EOF", b"PK\x03\x04" + bytes(40)])
def test_corrupt_binary_formats(tmp_path: Path, suffix: str, content: bytes) -> None:
    """A file that is not of its format is corrupt."""
    assert kind_of_failure(tmp_path, suffix, content) == "corrupt"


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_fail_as_parse_errors_or_not_at_all(tmp_path: Path, seed: int) -> None:
    """Bytes changed at random in a sound file never let an exception of a library through."""
    draw = random.Random(seed)
    document = docx.Document()
    document.add_heading("Guide", 1)
    document.add_paragraph("Hello there.", style="List Bullet")
    document.save(str(tmp_path / "source.docx"))
    with zipfile.ZipFile(tmp_path / "source.docx") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    damaged = {name: _damaged(data, draw, 3) if name.endswith(("xml", "rels")) else data for name, data in members.items()}
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w") as archive:
        for name, data in damaged.items():
            archive.writestr(name, data)
    for suffix, data in {
        ".docx": (tmp_path / "damaged.zip").read_bytes(),
        ".pdf": _damaged(pdf(lines("One line.", "Another.")), draw, 30),
        **{suffix: _damaged(source.encode(), draw, 5) for suffix, source in SOURCES.items()},
    }.items():
        try:
            found = parsed(tmp_path, suffix, data)
        except ParseError as error:
            assert error.kind in {"corrupt", "encrypted", "not-utf8", "too-large", "empty"}  # noqa: PT017
        else:
            assert found


def _damaged(data: bytes, draw: random.Random, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("suffix", [".txt", ".md", ".rst", ".html"])
def test_invalid_utf8_is_told(tmp_path: Path, suffix: str) -> None:
    """Text in another encoding is refused, not guessed at."""
    assert kind_of_failure(tmp_path, suffix, "Käse".encode("latin-1")) == "not-utf8"


def test_byte_order_marks_are_heeded(tmp_path: Path) -> None:
    """UTF-16 with its mark is read as what it is, and the mark is no text."""
    assert parsed(tmp_path, ".txt", "Käse".encode("utf-16")) == [Block("text", "Käse")]


def test_zip_bomb_is_refused(tmp_path: Path) -> None:
    """A small .docx that expands to hundreds of times its size is not expanded."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/media/image.png", bytes(48 * 2**20))
    assert kind_of_failure(tmp_path, ".docx", (tmp_path / "bomb.zip").read_bytes()) == "too-large"


def test_large_xml_in_docx_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The XML of a .docx has its own limit, since its tree takes many times the memory of its text."""
    monkeypatch.setattr("burnish.documents.markup.MAX_TEXT_BYTES", 100)
    with zipfile.ZipFile(tmp_path / "large.zip", "w") as archive:
        archive.writestr("word/document.xml", "<a>" + 100 * "x" + "</a>")
    assert kind_of_failure(tmp_path, ".docx", (tmp_path / "large.zip").read_bytes()) == "too-large"


def test_entities_that_multiply_are_refused(tmp_path: Path) -> None:
    """A billion laughs in a .docx is stopped by expat's limit on amplification."""
    entities = "".join(f'<!ENTITY e{n} "{10 * f"&e{n - 1};"}">' for n in range(1, 10))
    with zipfile.ZipFile(tmp_path / "laughs.zip", "w") as archive:
        archive.writestr("word/document.xml", f'<!DOCTYPE d [<!ENTITY e0 "{100 * "ha"}">{entities}]><d>&e9;</d>')
    assert kind_of_failure(tmp_path, ".docx", (tmp_path / "laughs.zip").read_bytes()) == "corrupt"


def test_large_files_and_many_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file over the limit is refused before it is read, a PDF with too many pages or characters while it is."""
    monkeypatch.setattr(parsing, "MAX_BYTES", 10)
    assert kind_of_failure(tmp_path, ".txt", "eleven byte") == "too-large"
    monkeypatch.undo()
    monkeypatch.setattr("burnish.documents.pdf.MAX_PAGES", 1)
    assert kind_of_failure(tmp_path, ".pdf", pdf(lines("one"), lines("two"))) == "too-large"
    monkeypatch.undo()
    monkeypatch.setattr("burnish.documents.pdf.MAX_TEXT_BYTES", 5)
    assert kind_of_failure(tmp_path, ".pdf", pdf(lines("seven!!"))) == "too-large"


@pytest.mark.parametrize(
    ("suffix", "source"),
    [
        (".html", 3000 * "<div>" + "x"),
        (".html", 200 * "<ul><li>" + "x"),
        (".rst", "\n".join(n * " " + "x\n" for n in range(900))),
    ],
)
def test_deep_nesting_is_refused(tmp_path: Path, suffix: str, source: str) -> None:
    """Elements nested beyond what the parsers hold are told, instead of text being lost or the stack running out."""
    assert kind_of_failure(tmp_path, suffix, source) == "too-large"


def test_unknown_suffix_is_unsupported(tmp_path: Path) -> None:
    """A format without a reader is told by name."""
    assert kind_of_failure(tmp_path, ".xlsx", "x") == "unsupported"


@pytest.mark.parametrize("suffix", [".txt", ".md", ".rst", ".html"])
def test_file_without_text_is_empty(tmp_path: Path, suffix: str) -> None:
    """White space is no text."""
    assert kind_of_failure(tmp_path, suffix, " \n\n") == "empty"
