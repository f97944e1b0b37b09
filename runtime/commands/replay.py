"""``faultline replay``: a past span of one asset again, with other rules or models, compared with history."""

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from adapters.asset_files import read_rules
from adapters.kafka import LogRecord, read_log
from adapters.models import ModelFolder
from adapters.timescale import AssetRegistry, Database, StoredModels, read_history
from adapters.timescale.history import partition_of
from api.times import Instant
from contracts.assets import AssetConfiguration
from contracts.codec import Codec
from contracts.errors import ConfigurationError, NotFound
from contracts.topics import CONDITIONS, MEASUREMENTS
from processors import CODE_VERSION
from processors.own_features import FeatureCode
from runtime.command_line import model_named, moment_ns
from runtime.connect import connected
from runtime.episodes import (
    Change,
    Difference,
    Episode,
    Span,
    alarm_episodes,
    compare_series,
    condition_episodes,
    differences,
)
from runtime.feature_code import load_feature_code
from runtime.kernels import load_kernels
from runtime.past import Past, Recomputation, Survey, Table, Variant
from runtime.registry import codec_for
from runtime.services.local import Urls
from runtime.settings import load_settings

_SERIES: Final = ("feature", "score")
_PROGRESS_RECORDS: Final = 100
_SAID: Final = {
    Change.ADDED: "added",
    Change.REMOVED: "removed",
    Change.EARLIER: "earlier",
    Change.LATER: "later",
    Change.ENDS_EARLIER: "over earlier",
    Change.ENDS_LATER: "over later",
    Change.DESCRIBED_OTHERWISE: "described otherwise",
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Wish:
    """What is asked for."""

    asset_id: str
    span: Span
    variant: Variant
    compare: bool


def replay(
    *,
    asset: Annotated[str, typer.Option(help="The asset's id.")],
    from_time: Annotated[str, typer.Option("--from", metavar="TIME", help="Beginning, e.g. 2026-01-31T08:00:00Z.")],
    to_time: Annotated[str, typer.Option("--to", metavar="TIME", help="End.")],
    models: Annotated[list[str] | None, typer.Option(metavar="NAME=VERSION", help="Model to try; repeatable.")] = None,
    rules: Annotated[Path | None, typer.Option(metavar="FILE.yaml", help="Rules to try, as below an asset.")] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Say what would have differed from history.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compute a past span of one asset again from the log, with other rules or models, and write nothing.

    The same code runs as live, from the beginning of the log, so that baselines and windows are those of history; what
    is tried is taken to have been in force all along. Without --rules and --models nothing should differ.

    \b
        ./faultline replay --asset P-101 --from 2026-01-31T08:00:00Z --to 2026-01-31T09:00:00Z --rules stricter.yaml
    """
    span = moment_ns(from_time), moment_ns(to_time)
    if span[0] >= span[1]:
        raise ConfigurationError(f"the span ends at {Instant(span[1])}, before it begins at {Instant(span[0])}")
    tried = Variant(read_rules(rules) if rules else {}, tuple(model_named(text) for text in models or ()))
    settings = load_settings()
    codec, code = codec_for(settings), load_feature_code(settings)
    load_kernels(lambda line: print(line, file=sys.stderr))
    with connected(settings, lambda status: print(status, file=sys.stderr)) as urls:
        result = asyncio.run(_replay(urls, codec, code, _Wish(asset, span, tried, compare)))
    if as_json:
        print(json.dumps(result))
    else:
        _print(result)


async def _replay(urls: Urls, codec: Codec, code: FeatureCode, wish: _Wish) -> dict[str, Any]:
    async with Database(urls.database) as database:
        partition = await partition_of(database, MEASUREMENTS, wish.asset_id)
        if partition is None:
            raise NotFound(f"nothing of asset {wish.asset_id!r} has been processed yet")
        measurements = partial(read_log, urls.kafka, MEASUREMENTS, partitions=[partition])
        survey = Survey.of(measurements(), codec, wish.asset_id)
        _check_span(wish, survey)
        config = await _configuration(database, wish.asset_id, survey)
        progress = _progress(survey.records)
        models = StoredModels(urls.database, ModelFolder())
        work = Recomputation(codec, models, code, wish.asset_id, wish.span, wish.variant, progress)
        work.measurements(measurements(), config)
        alarm_partition = await partition_of(database, CONDITIONS, wish.asset_id)
        work.alarms(lambda: _conditions(urls.kafka, partition if alarm_partition is None else alarm_partition))
        result = _result(wish, survey, work.past)
        if wish.compare:
            history = await _history(database, wish)
            result |= _compared(wish, history, work.past)
    return result


def _conditions(kafka_url: str, partition: int) -> Iterator[LogRecord]:
    return read_log(kafka_url, CONDITIONS, partitions=[partition])


def _check_span(wish: _Wish, survey: Survey) -> None:
    if survey.first_ns is None or survey.last_ns is None:
        raise NotFound(f"the log holds no measurement of asset {wish.asset_id!r}")
    if wish.span[0] < survey.first_ns or wish.span[1] > survey.last_ns:
        raise ConfigurationError(
            f"the log holds {wish.asset_id} from {Instant(survey.first_ns)} to {Instant(survey.last_ns)}; "
            f"{Instant(wish.span[0])} to {Instant(wish.span[1])} isn't within"
        )


async def _configuration(database: Database, asset_id: str, survey: Survey) -> AssetConfiguration | None:
    """Return the registered configuration where the log has lost the one that was in force at its beginning."""
    if survey.from_beginning or survey.configured:
        return None
    registered = await AssetRegistry(database).assets()
    config = next((one for one in registered if one.asset_id == asset_id), None)
    if config is None:
        raise NotFound(f"asset {asset_id!r} isn't registered, and the log no longer holds its activation")
    return config


async def _history(database: Database, wish: _Wish) -> dict[str, Table]:
    found: dict[str, Table] = {name: {} for name in (*_SERIES, "condition", "alarm_history")}
    async for table, key, values in read_history(database, tuple(found), [wish.asset_id], wish.span):
        found[table][key] = values
    return found


def _result(wish: _Wish, survey: Survey, past: Past) -> dict[str, Any]:
    def within(episodes: list[Episode]) -> list[dict[str, Any]]:
        return [one.as_json() for one in episodes if one.overlaps(wish.span)]

    return {
        "asset_id": wish.asset_id,
        "from": str(Instant(wish.span[0])),
        "to": str(Instant(wish.span[1])),
        "rules": dict(wish.variant.rules),
        "models": [f"{model.name}={model.version}" for model in wish.variant.models],
        "log": {
            "from": str(Instant(survey.first_ns or 0)),
            "to": str(Instant(survey.last_ns or 0)),
            "records": survey.records,
            "complete": survey.from_beginning,
        },
        "windows": past.windows,
        "refused": dict(past.refused),
        "conditions": within(condition_episodes(past.conditions)),
        "alarms": within(alarm_episodes(past.transitions)),
    }


def _compared(wish: _Wish, history: dict[str, Table], past: Past) -> dict[str, Any]:
    conditions = condition_episodes(history["condition"]), condition_episodes(past.conditions)
    alarms = alarm_episodes(history["alarm_history"]), alarm_episodes(past.transitions)
    found = [*differences("alarm", *alarms, wish.span), *differences("condition", *conditions, wish.span)]
    rows: dict[str, dict[str, int]] = {}
    for name in _SERIES:
        rows |= compare_series(name, history[name], past.series[name], CODE_VERSION)
    return {"differences": [one.as_json() | {"text": _sentence(one)} for one in found], "rows": rows}


def _sentence(one: Difference) -> str:
    episode = one.episode
    shift = "" if one.shift_s is None else f" by {abs(one.shift_s):g} s"
    return f"{one.kind} {_SAID[one.change]}{shift}, {Instant(episode.from_ns)}: {episode.reason}"


def _progress(total: int) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done % _PROGRESS_RECORDS == 0 or done == total:
            print(f"\r{done} of {total} records", end="" if done < total else "\n", file=sys.stderr, flush=True)

    return count


def _print(result: dict[str, Any]) -> None:
    print(f"{result['asset_id']}: {result['windows']} windows from {result['from']} to {result['to']}")
    if not result["log"]["complete"]:
        print(f"the log begins at {result['log']['from']}: baselines are learnt from there, not as in history")
    for kind in ("alarms", "conditions"):
        for one in result[kind]:
            print(f"{kind[:-1]:<10} {one['from']} to {one['to'] or 'now':<30} {one['reason']}")
    if "differences" not in result:
        return
    for label, counts in result["rows"].items():
        print(f"{label:<32} " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    for one in result["differences"]:
        print(one["text"])
    if not result["differences"]:
        print("no alarm and no condition would have differed")
