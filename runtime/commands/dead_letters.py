"""``faultline dead-letters``: list refused records, show one, put them back once their cause is mended."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from adapters.kafka import KafkaReturn, read_log
from adapters.timescale import Database, DeadLetterMarks, migrate
from contracts.codec import Codec
from contracts.errors import ConfigurationError, NotFound
from contracts.topics import DEAD_LETTERS
from runtime.command_line import current_user, moment_ns
from runtime.connect import connected
from runtime.dead_letters import Selection, content, hex_lines, put_back, refused_records
from runtime.registry import codec_for
from runtime.services.local import Urls
from runtime.settings import load_settings

T = TypeVar("T")

dead_letters: Final = typer.Typer(
    name="dead-letters", help="List, show or put back refused records.", add_completion=False, no_args_is_help=True
)
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Reason = Annotated[str | None, typer.Option(help="Only this reason code, e.g. unknown_asset.")]
_Topic = Annotated[str | None, typer.Option(help="Only what was refused on this topic.")]
_Asset = Annotated[str | None, typer.Option(help="Only records with this key, the asset's id.")]
_Since = Annotated[str | None, typer.Option(metavar="TIME", help="Refused then or later: 2026-01-31T08:00:00Z.")]
_Until = Annotated[str | None, typer.Option(metavar="TIME", help="Refused before then.")]


@dead_letters.command("list")
def list_letters(
    *,
    reason: _Reason = None,
    topic: _Topic = None,
    asset: _Asset = None,
    since: _Since = None,
    until: _Until = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many; all are counted.")] = 50,
    as_json: _Json = False,
) -> None:
    """List refused records, oldest first, and how many there are of each reason."""
    selection = _selection(reason, topic, asset, since, until)

    async def work(urls: Urls, codec: Codec, marks: DeadLetterMarks) -> list[dict[str, Any]]:
        replayed = await marks.replayed()
        found = refused_records(read_log(urls.kafka, DEAD_LETTERS), codec, selection)
        rows = [{**one.summary(), "replayed_at": str(at) if (at := replayed.get(one.place)) else None} for one in found]
        return sorted(rows, key=lambda row: str(row["refused_at"]))

    rows = _with_services(work)
    by_reason = dict(Counter(str(row["reason"]) for row in rows).most_common())
    if as_json:
        print(json.dumps({"total": len(rows), "by_reason": by_reason, "dead_letters": rows[-limit:]}))
        return
    table = Table("refused at", "place", "reason", "key", "put back", "detail")
    for row in rows[-limit:]:
        named = (row["refused_at"], row["place"], row["reason"], row["key"] or "", row["replayed_at"] or "")
        table.add_row(*(escape(str(text)) for text in (*named, row["detail"])))
    Console().print(table)
    for name, count in by_reason.items():
        print(f"{count:>8} {name}")
    print(f"{len(rows):>8} in all")


@dead_letters.command("show")
def show(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="As listed: topic/partition/offset.")],
    *,
    limit: Annotated[int, typer.Option("--bytes", min=0, max=8 * 2**20, help="Bytes of the value to show.")] = 256,
    as_json: _Json = False,
) -> None:
    """Show one refused record: why it was refused, its headers, its bytes and what they decode to."""

    async def work(urls: Urls, codec: Codec, marks: DeadLetterMarks) -> tuple[dict[str, Any], bytes]:
        one = next(
            refused_records(read_log(urls.kafka, DEAD_LETTERS), codec, Selection(names=frozenset({place}))), None
        )
        if one is None:
            raise NotFound(f"no dead letter of {place!r}; `faultline dead-letters list` names the places")
        at = (await marks.replayed()).get(one.place)
        shown = {**one.summary(), "replayed_at": str(at) if at else None, **content(one, codec, limit)}
        return shown, (one.letter.value or b"")[:limit]

    shown, value = _with_services(work)
    if as_json:
        print(json.dumps(shown))
        return
    for name, text in shown.items():
        if name not in {"headers", "value_hex", "decoded"} and text is not None:
            print(f"{name:<12} {text}")
    for header in shown["headers"]:
        print(f"{'header':<12} {header['name']}: {header['value']}")
    for line in hex_lines(value):
        print(line)
    if shown["value_bytes"] > len(value):
        print(f"{shown['value_bytes'] - len(value)} more bytes; --bytes shows more")
    if shown["decoded"] is not None:
        print(json.dumps(shown["decoded"], indent=2, ensure_ascii=False))


@dead_letters.command("replay")
def replay(
    places: Annotated[list[str] | None, typer.Argument(metavar="[PLACE...]", help="As listed.")] = None,
    *,
    reason: _Reason = None,
    topic: _Topic = None,
    asset: _Asset = None,
    since: _Since = None,
    until: _Until = None,
    everything: Annotated[bool, typer.Option("--all", help="All refused records.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: _Json = False,
) -> None:
    """Put refused records back on their topic, as they were, each once.

    Key, value and headers are unchanged; one header more, faultline-dead-letter, names the place. What is refused again
    becomes a new dead letter.

    \b
        ./faultline dead-letters replay --reason unknown_asset --asset P-101
    """
    selection = _selection(reason, topic, asset, since, until, places or ())
    if selection == Selection() and not everything:
        raise ConfigurationError("say which: places, --reason, --topic, --asset, --since, --until, or --all")

    async def work(urls: Urls, codec: Codec, marks: DeadLetterMarks) -> dict[str, list[str]]:
        replayed = await marks.replayed()
        found = [  # names only: all values together may not fit into memory
            (one.name, one.returnable, one.place in replayed)
            for one in refused_records(read_log(urls.kafka, DEAD_LETTERS), codec, selection)
        ]
        due = [name for name, returnable, before in found if returnable and not before]
        result = {
            "replayed": [],
            "replayed_before": [name for name, _, before in found if before],
            "never_on_the_log": [name for name, returnable, _ in found if not returnable],
            "not_found": sorted(selection.names - {name for name, _, _ in found}),
        }
        if due and (yes or typer.confirm(f"put {len(due)} records back on the log?", err=True)):
            await _put_back(urls, codec, marks, due, result)
        return result

    result = _with_services(work)
    if as_json:
        print(json.dumps(result))
    else:
        for name, names in result.items():
            print(f"{len(names):>8} {name.replace('_', ' ')}")
    raise typer.Exit(1 if result["not_found"] else 0)


async def _put_back(
    urls: Urls, codec: Codec, marks: DeadLetterMarks, due: Sequence[str], result: dict[str, list[str]]
) -> None:
    chosen = refused_records(read_log(urls.kafka, DEAD_LETTERS), codec, Selection(names=frozenset(due)))
    async for one, now in put_back(chosen, marks, KafkaReturn(urls.kafka), current_user()):
        result["replayed" if now else "replayed_before"].append(one.name)
        print(f"\r{len(result['replayed'])} of {len(due)} put back", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _selection(
    reason: str | None,
    topic: str | None,
    asset: str | None,
    since: str | None,
    until: str | None,
    places: Sequence[str] = (),
) -> Selection:
    return Selection(
        names=frozenset(places),
        reason=reason,
        topic=topic,
        key=asset,
        since_ns=None if since is None else moment_ns(since),
        until_ns=None if until is None else moment_ns(until),
    )


def _with_services(work: Callable[[Urls, Codec, DeadLetterMarks], Awaitable[T]]) -> T:
    settings = load_settings()

    async def run(urls: Urls) -> T:
        await migrate(urls.database)
        async with Database(urls.database) as database:
            return await work(urls, codec_for(settings), DeadLetterMarks(database))

    with connected(settings, lambda status: print(status, file=sys.stderr)) as urls:
        return asyncio.run(run(urls))
