"""Passages hold every word of a document once, in order, and every quote is literal."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.documents import DocumentScope
from rag.chunk import MAX_CHARACTERS, passages_of
from rag.extract import sentences, weigh
from rag.guard import clean
from rag.load import LoadedDocument
from rag.parse import Block, blocks_of
from rag.sentences import split
from tests.rag_doubles import WordEmbedder, passage

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=30
)
LINES = st.lists(WORDS, min_size=1, max_size=60).map(" ".join)
BLOCKS = st.lists(st.tuples(st.lists(LINES, min_size=1, max_size=4).map("\n".join), st.integers(0, 3)), max_size=12)
ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=400)


@given(BLOCKS)
def test_passages_cover_every_word_once_in_order(drawn: list[tuple[str, int]]) -> None:
    blocks = tuple(Block(text, level, n, n) for n, (text, level) in enumerate(drawn, 1))
    found = passages_of("d", LoadedDocument("t", "line", blocks), DocumentScope(site_id="s"))
    put = "".join("".join(text.split()) for text, level in drawn if not level)
    assert "".join("".join(one.text.split()) for one in found) == put
    assert all(len(one.text) <= MAX_CHARACTERS + 4 for one in found)
    assert len({one.passage_id for one in found}) == len(found)


@given(ANY_TEXT)
def test_sentences_are_parts_of_their_text(text: str) -> None:
    assert all(sentence in text for sentence in split(text))


@given(ANY_TEXT, ANY_TEXT)
def test_quotes_are_literal(text: str, question: str) -> None:
    source = passage(clean(text))
    evidence = weigh(question, [source], WordEmbedder().embed)
    if evidence.quotes:
        assert all(quote.text in source.text for quote in sentences(evidence))


@given(ANY_TEXT, st.sampled_from(["<b>", "<!-- x -->", "![a](http://h.example/x)", "[a](b)"]), ANY_TEXT)
def test_clean_text_stays_clean(before: str, markup: str, after: str) -> None:
    once = clean(f"{before}{markup}{after}")
    assert clean(once) == once
    assert "h.example/x" not in once
    assert "<!--" not in once


@given(st.sampled_from(["markdown", "asciidoc", "text", "html"]), ANY_TEXT)
def test_any_text_is_read_without_a_crash(kind: str, text: str) -> None:
    for block in blocks_of(kind, text.replace("\0", "").encode()):
        assert block.text
        assert 1 <= block.first <= block.last
