"""Bundles as an engine builds and imports them, from file to file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import compox_core as cx
from compox_core.bundle.keys import BundleKey, Identity, Passphrase, SigningKey
from compox_core.engine.bundles import BuiltBundle
from compox_core.errors import CompoxError, ConflictError, InvalidInputError, NotFoundError
from tests.bundle.shipping import objects

NAME = "template_denoising_algorithm"
KEY = BundleKey(bytes(range(32))).text()


@pytest.fixture(scope="module")
def origin() -> Iterator[cx.Engine]:
    """An engine with two algorithms."""
    with cx.Engine("memory://", executor="inline") as engine:
        engine.deploy(Path("algorithms") / NAME)
        engine.deploy(Path("algorithms") / NAME, name="secret", exportable=False)
        yield engine


@pytest.fixture
def engine() -> Iterator[cx.Engine]:
    """An engine on an empty store."""
    with cx.Engine("memory://", executor="inline") as engine:
        yield engine


class TestBothFormats:
    @pytest.fixture(params=[1, 2])
    def built(self, origin: cx.Engine, tmp_path: Path, request: pytest.FixtureRequest) -> BuiltBundle:
        """A bundle of either format."""
        seen: list[tuple[int, int]] = []
        built = origin.bundles.build(
            tmp_path / "x.compox",
            key=KEY,
            format=request.param,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert seen
        assert seen[-1][0] == seen[-1][1]
        return built

    def test_from_an_engine_to_another(self, built: BuiltBundle, engine: cx.Engine) -> None:
        """What was built is planned, verified, imported and run; then there is no difference, and nothing to do."""
        assert built.size == built.path.stat().st_size
        assert "secret 1 was left out" in str(built)
        plan = engine.bundles.plan(built.path, key=KEY)
        assert plan.changes
        assert engine.algorithms.list() == []
        assert engine.bundles.diff(built.path, key=KEY).algorithms[0].state == "bundle only"
        seen: list[tuple[int, int]] = []
        info = engine.bundles.verify(built.path, key=KEY, progress=lambda done, total: seen.append((done, total)))
        assert info.names == [NAME]
        assert seen[-1][0] == seen[-1][1]
        report = engine.bundles.import_(built.path, key=KEY)
        assert report.algorithms[0].minors == {0: 0}
        assert report.stored_bytes == plan.missing_bytes
        result = engine.run(NAME, np.zeros((2, 16, 16), np.float32), progress=False)
        assert np.asarray(result).shape == (2, 16, 16)
        assert engine.bundles.diff(built.path, key=KEY).same
        before = objects(engine.store)
        assert not engine.bundles.import_(built.path, key=KEY).changes
        assert {k: v for k, v in objects(engine.store).items() if "algorithm" in k} == {
            k: v for k, v in before.items() if "algorithm" in k
        }

    def test_what_it_tells(self, built: BuiltBundle, engine: cx.Engine) -> None:
        """Without a key it tells its version and size, and in format 1 more, which anybody may have written."""
        info = engine.bundles.inspect(built.path)
        assert (info.size, info.opened_by, info.authentic, info.snapshot) == (built.size, ["key"], False, None)
        assert info.names == ([NAME] if info.version == 1 else None)
        known = engine.bundles.inspect(built.path, key=KEY)
        assert known.authentic
        assert known.snapshot is not None
        assert [each.name for each in known.snapshot.algorithms] == [NAME]
        assert type(known).model_validate_json(known.model_dump_json()) == known

    def test_what_does_not_open_it(self, built: BuiltBundle, engine: cx.Engine) -> None:
        """Another key, and none, change nothing and show no secret."""
        other = BundleKey(bytes(32)).text()
        for key in (other, [], [other, other]):
            with pytest.raises(InvalidInputError) as info:
                engine.bundles.import_(built.path, key=key)
            assert info.value.code in ("invalid_bundle_key", "invalid_bundle_signature")
            assert other not in str(info.value)
        engine.bundles.import_(built.path, key=[other, KEY])

    def test_a_file_that_is_there(self, built: BuiltBundle, origin: cx.Engine) -> None:
        """It is replaced only on request."""
        version = origin.bundles.inspect(built.path).version
        with pytest.raises(ConflictError) as info:
            origin.bundles.build(built.path, key=KEY, format=version)
        assert info.value.code == "bundle_exists"
        origin.bundles.build(built.path, ["secret"], key=KEY, format=version, include_unexportable=True, replace=True)
        assert origin.bundles.inspect(built.path, key=KEY).names == ["secret"]


def test_differences(origin: cx.Engine, engine: cx.Engine, tmp_path: Path) -> None:
    """Each is named, and what only one side has."""
    path = origin.bundles.build(tmp_path / "x", key=KEY).path
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in (Path("algorithms") / NAME).rglob("*"):
        if file.is_file():
            place = folder / file.relative_to(Path("algorithms") / NAME)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.read_bytes())
    (folder / "README.md").write_text("another")
    (folder / "own.py").write_text("OWN = 1\n")
    engine.deploy(folder, removable=True)
    engine.deploy(folder, name="mine")
    diff = engine.bundles.diff(path, key=KEY)
    assert not diff.same
    assert [(each.name, each.state) for each in diff.algorithms] == [("mine", "store only"), (NAME, "differs")]
    assert {"code", "asset README.md"} <= set(diff.algorithms[1].differs)
    assert "asset README.md" in str(diff)


def test_all_that_opens_a_bundle(origin: cx.Engine, engine: cx.Engine, tmp_path: Path) -> None:
    """A bundle for a key, a passphrase and a recipient is opened by each of them."""
    identity, words = Identity.generate(), Passphrase("correct horse", cost=10)
    path = origin.bundles.build(tmp_path / "x", key=[KEY, words, identity.recipient.text()]).path
    assert sorted(engine.bundles.inspect(path).opened_by) == ["key", "passphrase", "recipient"]
    for key in (KEY, words, identity, identity.text()):
        assert engine.bundles.inspect(path, key=key).authentic
    with pytest.raises(InvalidInputError) as info:
        engine.bundles.plan(path, key=identity.recipient)
    assert info.value.code == "invalid_bundle_key"


def test_signatures(origin: cx.Engine, engine: cx.Engine, tmp_path: Path) -> None:
    """Who trusts somebody imports what that one signed, and nothing of format 1, which knows no signatures."""
    signing = SigningKey.generate()
    signed = origin.bundles.build(tmp_path / "signed", key=KEY, signing_key=signing.text()).path
    others = [origin.bundles.build(tmp_path / f"plain{n}", key=KEY, format=n).path for n in (1, 2)]
    for path in others:
        with pytest.raises(InvalidInputError) as info:
            engine.bundles.import_(path, key=KEY, trusted_signers=[signing.signer])
        assert info.value.code == "invalid_bundle_signature"
    assert engine.bundles.inspect(signed, key=KEY).signer == signing.signer.text()
    engine.bundles.import_(signed, key=KEY, trusted_signers=[signing.signer])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"key": KEY, "format": 3}, "unsupported_bundle_format"),
        ({"key": []}, "invalid_bundle_key"),
        ({"key": "short"}, "invalid_bundle_key"),
        ({"key": [KEY, KEY], "format": 1}, "invalid_bundle_key"),
        ({"key": [], "format": 1}, "invalid_bundle_key"),
        ({"key": Passphrase("x"), "format": 1}, "invalid_bundle_key"),
        ({"key": KEY, "format": 1, "signing_key": SigningKey(bytes(32))}, "invalid_bundle_key"),
        ({"key": KEY, "algorithms": ["nothing"]}, "algorithm_not_found"),
        ({"key": KEY, "algorithms": ["secret"]}, "algorithm_not_exportable"),
        ({"key": KEY, "algorithms": "a b"}, "invalid_algorithm_selection"),
    ],
)
def test_what_cannot_be_built(origin: cx.Engine, tmp_path: Path, given: dict[str, object], code: str) -> None:
    """It is refused, and no file is left."""
    with pytest.raises(CompoxError) as info:
        origin.bundles.build(tmp_path / "x", **given)  # type: ignore[arg-type]
    assert info.value.code == code
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_is_not_there(engine: cx.Engine, tmp_path: Path) -> None:
    """It is named."""
    for ask in (engine.bundles.inspect, engine.bundles.plan, engine.bundles.import_):
        with pytest.raises(NotFoundError) as info:
            ask(tmp_path / "x", key=KEY)  # type: ignore[operator]
        assert info.value.code == "bundle_not_found"


def test_a_new_key(engine: cx.Engine) -> None:
    """It is one that has not been given before."""
    keys = {engine.bundles.new_key() for _ in range(3)}
    assert len({BundleKey.parse(key).raw for key in keys}) == 3
