"""Questions over the API: the answer's shape, the stream of it, and what is refused."""

import json

import pytest

from contracts.errors import Unavailable
from contracts.ports import Principal
from rag.assistant import Bounds, DocumentAssistant
from tests.api_doubles import Reader, bench, problem
from tests.rag_doubles import Shelf, WordEmbedder, passage

GREASE = passage("Regrease each bearing with 8 g of lithium grease.")


def test_api_chat_answers_with_citations() -> None:
    answer = bench().ask("POST", "/v1/chat", json={"question": "Why?", "asset_id": None})
    assert answer.status_code == 200
    cited = [{"document": "manual", "span": "line 1", "quote": "Why?"}]
    assert answer.json() == {"answer": "Why? [1]", "citations": cited, "abstained": False}


def test_api_chat_streams_drafts_and_then_the_answer() -> None:
    answer = bench().ask("POST", "/v1/chat", json={"question": "Why?"}, headers={"accept": "text/event-stream"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    assert [kind for kind, _ in events] == ["event: draft", "event: answer"]
    assert json.loads(events[1][1].removeprefix("data: "))["citations"][0]["quote"] == "Why?"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_api_chat_about_an_asset_outside_the_scope_is_not_found(accept: str) -> None:
    problem(
        bench().ask("POST", "/v1/chat", json={"question": "?!", "asset_id": "P-999"}, headers={"accept": accept}), 404
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"question": ""}, 422),
        ({"question": "  "}, 422),
        ({"question": "a\0"}, 422),
        ({"question": "x" * 2001}, 422),
        ({"question": "x" * 1_000_000}, 413),
        ({"question": "Why?", "role": "system"}, 422),
        ({"question": "Why?", "asset_id": ["P-101"]}, 422),
    ],
)
def test_api_chat_refuses_what_is_no_question(body: dict[str, object], status: int) -> None:
    problem(bench().ask("POST", "/v1/chat", json=body), status)


def test_api_chat_needs_a_role() -> None:
    problem(bench(Principal("eve", frozenset())).ask("POST", "/v1/chat", json={"question": "Why?"}), 403)


@pytest.mark.parametrize("trouble", [Unavailable("search engine", "x"), 9.0])
def test_api_chat_answers_in_time_while_the_search_is_away(trouble: Exception | float) -> None:
    assistant = DocumentAssistant(
        Reader(), WordEmbedder(), Shelf(GREASE, trouble=trouble), None, Bounds(search_s=0.2, live_s=0.5)
    )
    answer = bench(assistant=assistant).ask("POST", "/v1/chat", json={"question": "How much grease?"}).json()
    assert answer["abstained"] is True
    assert answer["citations"] == []
    assert "doesn't answer now" in answer["answer"]
