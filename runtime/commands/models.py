"""``faultline models``: propose a model, try it in shadow, then on a share of the assets, promote it, take it back."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from contracts.assets import AssetConfiguration
from contracts.errors import ConfigurationError, NotFound
from contracts.models import ModelVersion
from processors import promotion
from runtime.command_line import moment_ns
from runtime.model_comparison import compare_on_assets, print_comparison
from runtime.model_desk import ModelDesk, Step, at_model_desk
from runtime.model_words import print_step, print_version, print_versions

models: Final = typer.Typer(
    name="models",
    help="Propose, review, stage, promote, roll back and compare scoring models.",
    add_completion=False,
    no_args_is_help=True,
)
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]
_Version = Annotated[str, typer.Argument(metavar="VERSION", help="Its version, e.g. 2 or 2.1.")]
_Why = Annotated[str, typer.Option("--why", help="The reason, kept with your name.")]
_ALL_TIME: Final = (-(2**63), 2**63 - 1)


@models.command("list")
def list_models(*, as_json: _Json = False) -> None:
    """List all versions with their stage, and how many assets each scores for."""

    async def work(desk: ModelDesk) -> list[dict[str, Any]]:
        assets = await desk.assets()
        return [desk.described(one, assets) for one in await desk.registry.versions()]

    rows = at_model_desk(work)
    if as_json:
        print(json.dumps({"models": rows}))
        return
    print_versions(rows)


@models.command("show")
def show(name: _Name, version: _Version, *, as_json: _Json = False) -> None:
    """Show one version: where it scores, where it is refused, its card, and every step with who and why."""

    async def work(desk: ModelDesk) -> dict[str, Any]:
        history = [msgspec.to_builtins(one) for one in await desk.registry.history(name, version)]
        if not history:
            raise NotFound(f"no model {name}@{version}; `faultline models list` names them")
        known = [one for one in await desk.registry.versions() if (one.name, one.version) == (name, version)]
        unknown = {"name": name, "version": version, "stage": "refused"}
        described = desk.described(known[0], await desk.assets()) if known else unknown
        refused = await desk.registry.refused_on(f"{name}@{version}")
        card = await desk.registry.card(name, version)
        return {**described, "refused_on": refused, "card": card, "history": history}

    shown = at_model_desk(work)
    if as_json:
        print(json.dumps(shown))
        return
    print_version(shown)


@models.command("propose")
def propose(
    name: _Name,
    version: _Version,
    *,
    why: _Why,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where NAME.vVERSION.onnx and its .sha256 lie.", show_default="models/onnx"),
    ] = None,
    instead_of: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Whose place it seeks.", show_default="NAME")
    ] = None,
    feature_hash: Annotated[
        str | None, typer.Option(metavar="HASH", help="Feature code it was trained for, where the file doesn't say.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Take in a model file: checked, kept in the database, and not in use yet.

    The file must be what the checksum beside it says, be loaded, answer with finite numbers, and have been trained for
    the feature code that runs. A refusal is recorded too.

    \b
        ./faultline models propose pumps 2 --why "trained on May"
    """

    async def work(desk: ModelDesk) -> dict[str, Any]:
        return await desk.propose((name, version), folder, instead_of or name, feature_hash, why)

    _say(at_model_desk(work), as_json=as_json)


@models.command("review")
def review(
    name: _Name,
    version: _Version,
    *,
    why: _Why,
    reject: Annotated[bool, typer.Option("--reject", help="Turn it down for good.")] = False,
    as_json: _Json = False,
) -> None:
    """Accept a proposed model for staging, or turn it down.

    \b
        ./faultline models review pumps 2 --why "card and data checked"
    """
    step = promotion.reject if reject else promotion.review
    _take("reject" if reject else "review", name, version, lambda one, _all, _assets: [step(one)], why, as_json=as_json)


@models.command("stage")
def stage(
    name: _Name,
    version: _Version,
    *,
    why: _Why,
    asset: Annotated[list[str] | None, typer.Option(help="Only this asset; repeatable.")] = None,
    asset_type: Annotated[
        list[str] | None, typer.Option("--type", help="Only assets of this type; repeatable.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Let a model score live data in shadow: its scores are stored, and raise nothing.

    \b
        ./faultline models stage pumps 2 --type pump --why "for two weeks"
    """

    def step(one: ModelVersion, everyone: list[ModelVersion], assets: list[AssetConfiguration]) -> list[ModelVersion]:
        unknown = set(asset or ()) - {known.asset_id for known in assets}
        if unknown:
            raise NotFound(f"no asset {', '.join(sorted(unknown))}; `faultline assets list` names them")
        types = {known.asset_type for known in assets}
        if not set(asset_type or ()) <= types:
            strange = ", ".join(sorted(set(asset_type or ()) - types))
            raise NotFound(f"no asset is of type {strange!r}; the types here: {', '.join(sorted(types)) or 'none'}")
        staged = promotion.stage(one, everyone, asset or (), asset_type or ())
        if not any(promotion.in_scope(staged, known) for known in assets):
            raise ConfigurationError(f"no asset would be in the scope of {one.key}; `faultline assets list` names them")
        return [staged]

    _take("stage", name, version, step, why, as_json=as_json)


@models.command("canary")
def canary(
    name: _Name,
    version: _Version,
    *,
    why: _Why,
    share: Annotated[
        float | None, typer.Option(help="Part of the assets in scope, above 0 and at most 1.", show_default="none")
    ] = None,
    asset: Annotated[list[str] | None, typer.Option(help="This asset instead of a share; repeatable.")] = None,
    as_json: _Json = False,
) -> None:
    """Let a staged model score for real on some of its assets; elsewhere it goes on in shadow.

    Which assets a share holds is a function of their ids: one that grows keeps those it had (`models show` tells from
    which share on each is held). What scored there before goes on in shadow, and takes over again where the canary
    fails.

    \b
        ./faultline models canary pumps 2 --share 0.1 --why "no added alarm"
        ./faultline models canary pumps 2 --asset P-103 --why "the pump with a spare"
    """
    if (share is None) is (not asset):
        raise ConfigurationError("say where: either --share, or --asset once or more")
    where = list(asset or ()) if share is None else share
    _take(
        "canary",
        name,
        version,
        lambda one, everyone, assets: [promotion.canary(one, everyone, where, assets)],
        why,
        as_json=as_json,
    )


@models.command("promote")
def promote(name: _Name, version: _Version, *, why: _Why, as_json: _Json = False) -> None:
    """Let a canary score for real on all of its assets; what was in production goes on in shadow.

    \b
        ./faultline models promote pumps 2 --why "two alarms earlier"
    """
    _take(
        "promote",
        name,
        version,
        lambda one, everyone, _assets: promotion.promote(one, everyone),
        why,
        as_json=as_json,
    )


@models.command("rollback")
def rollback(
    name: _Name,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="Only if it is this one.")] = None,
    *,
    why: _Why,
    as_json: _Json = False,
) -> None:
    """Take the canary back, or the version in production where there is no canary.

    What scored before scores again from the next window on, with its thresholds: it has gone on in shadow. NAME is the
    model or the one whose place it took; with a VERSION the command can be repeated safely.

    \b
        ./faultline models rollback pumps 2 --why "false alarms on P-103"
    """

    async def work(desk: ModelDesk) -> dict[str, Any]:
        return await desk.change("rollback", lambda known, _assets: promotion.roll_back(name, version, known), why)

    _say(at_model_desk(work), as_json=as_json)


@models.command("sunset")
def sunset(name: _Name, version: _Version, *, why: _Why, as_json: _Json = False) -> None:
    """Take a version out of use for good: it no longer scores in shadow, and can't be called back.

    \b
        ./faultline models sunset pumps 1 --why "version 2 serves"
    """
    _take(
        "sunset",
        name,
        version,
        lambda one, everyone, _assets: promotion.sunset(one, everyone),
        why,
        as_json=as_json,
    )


@models.command("compare")
def compare(
    name: _Name,
    version: _Version,
    *,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME@VERSION", help="The other model.", show_default="what scores for the asset"),
    ] = None,
    asset: Annotated[list[str] | None, typer.Option(help="Only this asset; repeatable.")] = None,
    from_time: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Beginning.")] = None,
    to_time: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End.")] = None,
    as_json: _Json = False,
) -> None:
    """Say which alarms a model would have added, lacked, or raised earlier or later than another.

    Both models' stored scores, from shadow or for real, go through the rule and the gate of the stream. For windows
    that a model hasn't scored, see `faultline replay --models`.

    \b
        ./faultline models compare pumps 2 --from 2026-05-01T00:00:00Z
    """
    span = (
        _ALL_TIME[0] if from_time is None else moment_ns(from_time),
        _ALL_TIME[1] if to_time is None else moment_ns(to_time),
    )

    async def work(desk: ModelDesk) -> dict[str, Any]:
        one = await desk.version(name, version)
        known = await desk.registry.versions()
        return await compare_on_assets(desk.database, one, known, await desk.assets(), asset or (), against, span)

    result = at_model_desk(work)
    if as_json:
        print(json.dumps(result))
    else:
        print_comparison(result)


def _take(action: str, name: str, version: str, step: Step, why: str, *, as_json: bool) -> None:
    async def work(desk: ModelDesk) -> dict[str, Any]:
        return await desk.take(action, await desk.version(name, version), step, why)

    _say(at_model_desk(work), as_json=as_json)


def _say(result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result))
        return
    print_step(result)
