"""The life cycle of models: which steps are allowed, and which models an asset has after any row of them."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.assets import AssetConfiguration, ModelReference
from contracts.errors import ConfigurationError
from contracts.models import ModelVersion, Stage
from processors import promotion

OWN = ModelReference(name="ae", version="1")
OTHER = ModelReference(name="half-space-trees", version="1")
ASSETS = [
    AssetConfiguration(
        asset_id=f"P-{number}",
        site_id="s",
        name="pump",
        asset_type="pump" if number % 2 else "fan",
        models=(OTHER, OWN),
    )
    for number in range(40)
]


def proposed(version: str, name: str = "ae", slot: str = "ae") -> ModelVersion:
    return ModelVersion(name=name, version=version, sha256=version * 8, feature_hash="f", slot=slot)


def known(*versions: ModelVersion) -> dict[str, ModelVersion]:
    return {one.key: one for one in versions}


def put(versions: dict[str, ModelVersion], changed: list[ModelVersion]) -> None:
    versions |= known(*changed)


def in_production(*steps: str) -> dict[str, ModelVersion]:
    """Return version 2 after steps from reviewed on."""
    versions = known(promotion.review(proposed("2")))
    for step in steps:
        take(versions, step, "ae@2", 0.5)
    return versions


def take(versions: dict[str, ModelVersion], step: str, key: str, share: float) -> None:
    one, everyone = versions[key], list(versions.values())
    if step == "review":
        put(versions, [promotion.review(one)])
    elif step == "reject":
        put(versions, [promotion.reject(one)])
    elif step == "stage":
        put(versions, [promotion.stage(one, everyone, (), ())])
    elif step == "canary":
        put(versions, [promotion.canary(one, everyone, share, ASSETS)])
    elif step == "promote":
        put(versions, promotion.promote(one, everyone))
    elif step == "rollback":
        put(versions, promotion.roll_back(one.slot, None, everyone))
    else:
        put(versions, promotion.sunset(one, everyone))


def roles(
    versions: dict[str, ModelVersion], asset: AssetConfiguration = ASSETS[0]
) -> dict[str, tuple[bool, str | None]]:
    models = promotion.deployed(asset, versions.values()).models
    return {model.key: (model.shadow, model.stands_in_for) for model in models if model.name != OTHER.name}


def test_a_model_goes_from_shadow_to_a_share_to_production_and_what_it_replaces_stays_in_shadow() -> None:
    assert roles(in_production()) == {"ae@1": (False, None)}
    assert roles(in_production("stage")) == {"ae@1": (False, None), "ae@2": (True, None)}
    canary = in_production("stage", "canary")
    held = [asset for asset in ASSETS if promotion.position(canary["ae@2"], asset.asset_id) < 0.5]
    assert 10 < len(held) < 30
    for asset in ASSETS:
        for_real = {"ae@1": (True, "ae@2"), "ae@2": (False, None)}
        in_shadow = {"ae@1": (False, None), "ae@2": (True, None)}
        assert roles(canary, asset) == (for_real if asset in held else in_shadow)
    wider = promotion.canary(canary["ae@2"], list(canary.values()), 0.8, ASSETS)
    assert {one.asset_id for one in held} < {
        one.asset_id for one in ASSETS if promotion.position(wider, one.asset_id) < wider.share
    }
    for asset in ASSETS:
        assert roles(in_production("stage", "canary", "promote"), asset) == for_real


def test_a_roll_back_restores_what_was_before_step_by_step() -> None:
    versions = in_production("stage", "canary", "promote")
    before = roles(versions)
    put(versions, [promotion.review(proposed("3"))])
    for step in ("stage", "canary", "promote"):
        take(versions, step, "ae@3", 1.0)
    assert roles(versions) == {"ae@1": (True, None), "ae@2": (True, "ae@3"), "ae@3": (False, None)}
    assert promotion.roll_back("ae", "2", list(versions.values())) == []  # it is back in shadow
    put(versions, promotion.roll_back("ae", "3", list(versions.values())))
    assert (versions["ae@2"].stage, versions["ae@3"].stage) == (Stage.PRODUCTION, Stage.STAGED)
    assert roles(versions) == {**before, "ae@3": (True, None)}
    put(versions, promotion.roll_back("ae", None, list(versions.values())))
    assert roles(versions) == {"ae@1": (False, None), "ae@2": (True, None), "ae@3": (True, None)}
    with pytest.raises(ConfigurationError, match="neither a canary nor a version in production"):
        promotion.roll_back("ae", None, list(versions.values()))


def test_a_model_may_seek_the_place_of_one_of_another_name() -> None:
    versions = known(dataclasses.replace(proposed("7", "tcn"), stage=Stage.REVIEWED))
    for step in ("stage", "canary", "promote"):
        take(versions, step, "tcn@7", 1.0)
    assert roles(versions) == {"ae@1": (True, "tcn@7"), "tcn@7": (False, None)}
    with pytest.raises(ConfigurationError, match=r"tcn@7 is production in ae, not tcn@8"):
        promotion.roll_back("tcn", "8", list(versions.values()))
    assert promotion.roll_back("tcn", None, list(versions.values()))[0].stage is Stage.STAGED


def test_scope_bounds_where_a_model_scores() -> None:
    versions = in_production()
    put(versions, [promotion.stage(versions["ae@2"], list(versions.values()), (), ("fan",))])
    take(versions, "canary", "ae@2", 1.0)
    take(versions, "promote", "ae@2", 1.0)
    assert roles(versions, ASSETS[0])["ae@2"] == (False, None)
    assert roles(versions, ASSETS[1]) == {"ae@1": (False, None)}


@pytest.mark.parametrize(
    ("steps", "refused", "message"),
    [
        ((), "canary", "ae@2 is reviewed; canary begins from staged or canary"),
        (("stage",), "promote", "ae@2 is staged; promote begins from canary"),
        (("stage", "canary", "promote"), "sunset", "is production"),
        (("stage", "sunset"), "stage", "is sunset"),
    ],
)
def test_steps_come_in_order(steps: tuple[str, ...], refused: str, message: str) -> None:
    versions = in_production(*steps)
    with pytest.raises(ConfigurationError, match=message):
        take(versions, refused, "ae@2", 0.5)


def leading(key: str, versions: dict[str, ModelVersion]) -> set[str]:
    """Return the assets on which a version scores for real."""
    return {asset.asset_id for asset in ASSETS if roles(versions, asset).get(key, (True, None))[0] is False}


def test_a_canary_may_be_given_its_assets_and_each_asset_tells_which_share_holds_it() -> None:
    versions = in_production("stage")
    everyone = list(versions.values())
    shares = promotion.smallest_shares(versions["ae@2"], ASSETS)
    assert list(shares.values()) == sorted(shares.values())
    for asset_id, share in shares.items():
        held = leading("ae@2", known(promotion.canary(versions["ae@2"], everyone, share, ASSETS)))
        assert asset_id in held
        assert all(least <= share for other, least in shares.items() if other in held)
    last = list(shares)[-1]
    named = promotion.canary(versions["ae@2"], everyone, [last], ASSETS)
    assert leading("ae@2", known(named)) == {last}
    wider = promotion.canary(named, everyone, 1.0, ASSETS)
    assert leading("ae@2", known(wider)) == set(shares)
    assert promotion.promote(named, everyone)[0].canary_asset_ids == ()
    assert promotion.roll_back("ae", None, [named])[0].canary_asset_ids == ()


def test_shares_scopes_and_numbers_have_bounds() -> None:
    versions = in_production("stage")
    everyone = list(versions.values())
    for share in (0.0, -0.1, 1.01, float("nan")):
        with pytest.raises(ConfigurationError, match="above 0 and at most 1"):
            promotion.canary(versions["ae@2"], everyone, share, ASSETS)
    with pytest.raises(ConfigurationError, match=r"the smallest that hold one are P-\d+ 0\.0.*or name assets"):
        promotion.canary(versions["ae@2"], everyone, 1e-6, ASSETS)
    with pytest.raises(ConfigurationError, match="P-999 isn't in the scope of ae@2"):
        promotion.canary(versions["ae@2"], everyone, ["P-999"], ASSETS)
    nowhere = promotion.stage(versions["ae@2"], everyone, ("P-999",), ())
    with pytest.raises(ConfigurationError, match="no asset is in the scope"):
        promotion.canary(nowhere, everyone, 0.5, ASSETS)
    many = [dataclasses.replace(proposed(str(n)), stage=Stage.STAGED) for n in range(10, 14)]
    with pytest.raises(ConfigurationError, match="at most 4"):
        promotion.stage(dataclasses.replace(proposed("9"), stage=Stage.REVIEWED), many, (), ())
    take(versions, "canary", "ae@2", 0.5)
    second = dataclasses.replace(proposed("3"), stage=Stage.STAGED)
    with pytest.raises(ConfigurationError, match="ae@2 is the canary"):
        promotion.canary(second, [*versions.values(), second], 0.5, ASSETS)


STEPS = st.tuples(
    st.sampled_from(["review", "reject", "stage", "canary", "promote", "rollback", "sunset"]),
    st.sampled_from(["ae@2", "ae@3", "tcn@1"]),
    st.sampled_from([0.2, 0.6, 1.0]),
)


@given(steps=st.lists(STEPS, max_size=25))
def test_whatever_the_steps_one_model_scores_for_real_in_a_slot_and_a_new_import_changes_nothing(
    steps: list[tuple[str, str, float]],
) -> None:
    versions = known(proposed("2"), proposed("3"), proposed("1", "tcn"))
    for step, key, share in steps:
        try:
            take(versions, step, key, share)
        except ConfigurationError:
            continue
    stages = [one.stage for one in versions.values()]
    assert stages.count(Stage.CANARY) <= 1
    assert stages.count(Stage.PRODUCTION) <= 1
    for asset in ASSETS:
        there = promotion.deployed(asset, versions.values())
        assert promotion.deployed(there, versions.values()) == there
        assert there.models[0] == OTHER
        mine = there.models[1:]
        assert [model.shadow for model in mine].count(False) == 1
        assert len({model.key for model in mine}) == len(mine)
        (leader,) = [model for model in mine if not model.shadow]
        heirs = [model for model in mine if model.stands_in_for is not None]
        assert {model.stands_in_for for model in heirs} <= {leader.key}
        assert len(heirs) == (leader.key != OWN.key)
        assert all(model.shadow for model in heirs)
