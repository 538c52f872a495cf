"""`compox-cli bundle`: keys, bundles, and what becomes of them in another store."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

import compox_core as cx
from compox_core.bundle.keys import BundleKey, Identity, SigningKey
from tests.cli.conftest import Shell, answer
from tests.cli.terminal import answered
from tests.engine.authors import image_runner, write_algorithm

KEY = re.compile(r"[A-Za-z0-9_-]{43}")
CLI = Path(sys.executable).with_name("compox-cli")


@pytest.fixture
def key(home: Path) -> Path:
    """A file with a key."""
    path = home / "site.key"
    path.write_text(f"# of the site\n\n{BundleKey.generate().text()}\n", encoding="utf-8")
    return path


@pytest.fixture
def bundle(shell: Shell, store: Path, key: Path, home: Path) -> Path:
    """A bundle of `store` for `key`."""
    path = home / "all.cbx"
    done = shell("bundle", "build", path, "--store", store, "--key-file", key)
    assert done.exit_code == 0, done.output
    return path


# -- keys -----------------------------------------------------------------------------------------------------------


def test_a_key_is_printed_or_kept_in_a_file_of_its_own(shell: Shell, home: Path) -> None:
    """Each is new; a file is for its owner only, is never replaced, and its key is not printed."""
    printed = [shell("bundle", "key").stdout.strip() for _ in range(2)]
    assert printed[0] != printed[1] and all(KEY.fullmatch(text) for text in printed)
    done = shell("bundle", "key", "-o", "a.key")
    assert (done.exit_code, done.stdout) == (0, "a.key\n")
    text = (home / "a.key").read_text("utf-8")
    assert KEY.fullmatch(text.strip()) and text.strip() not in done.output
    if os.name != "nt":
        assert (home / "a.key").stat().st_mode & 0o777 == 0o600
    again = shell("bundle", "key", "-o", "a.key")
    assert again.exit_code == 1 and "never replaced" in again.stderr
    assert (home / "a.key").read_text("utf-8") == text
    assert answer(shell("bundle", "key", "--json")).keys() == {"key"}


@pytest.mark.parametrize(("pair", "secret"), [("recipient", "identity"), ("signer", "signing-key")])
def test_pairs_have_a_public_half(shell: Shell, home: Path, pair: str, secret: str) -> None:
    """It is told when the pair is made, and can be had again from the secret one, which is not shown."""
    made = shell("bundle", "key", f"--{pair}", "-o", "mine")
    public = made.stdout.strip()
    assert public.startswith(f"compox-{pair}-")
    assert (home / "mine").read_text("utf-8").startswith(f"compox-{secret}-")
    assert shell("bundle", "key", "--public", "mine").stdout.strip() == public
    both = shell("bundle", "key", f"--{pair}")
    assert both.stdout.startswith(f"compox-{secret}-") and f"compox-{pair}-" in both.stderr
    assert answer(shell("bundle", "key", f"--{pair}", "--json")).keys() == {secret.replace("-", "_"), pair}


def test_only_secrets_of_pairs_have_a_public_half(shell: Shell, key: Path) -> None:
    """A key is one secret; no error shows it."""
    done = shell("bundle", "key", "--public", key)
    assert done.exit_code == 1 and "is no" not in done.stdout
    assert key.read_text("utf-8").splitlines()[-1] not in done.output
    assert shell("bundle", "key", "--public", key, "-o", "x").exit_code == 2


# -- build ----------------------------------------------------------------------------------------------------------


def test_a_bundle_is_built(shell: Shell, store: Path, key: Path, home: Path) -> None:
    """Its path is printed, the rest is for programs; progress is told in bytes, elsewhere."""
    done = shell("bundle", "build", "a.cbx", "--store", store, "--key-file", key)
    assert (done.exit_code, done.stdout) == (0, "a.cbx\n")
    assert "3 algorithms" in done.stderr and re.search(r"a\.cbx: 100%  [\d.]+ KiB of [\d.]+ KiB", done.stderr)
    told = answer(shell("bundle", "build", "b.cbx", "--store", store, "--key-file", key, "-a", "scaling@0", "--json"))
    assert told["algorithms"] == [{"name": "scaling", "major": "1", "minors": [0], "checkpoints": []}]
    assert (told["written"], told["format"], told["notes"]) == ("b.cbx", 2, [])
    assert told["size"] == (home / "b.cbx").stat().st_size


def test_a_file_is_replaced_only_when_asked(shell: Shell, store: Path, key: Path, home: Path) -> None:
    """A build that fails leaves what was there, and nothing else."""
    (home / "a.cbx").write_bytes(b"mine")
    before = sorted(home.rglob("*"))
    for words in (["a.cbx"], ["a.cbx", "--overwrite", "-a", "nothing"], ["none/a.cbx"], ["a.cbx", "-a", "scaling@9"]):
        done = shell("bundle", "build", *words, "--store", store, "--key-file", key)
        assert (done.exit_code, done.stdout) == (1, ""), words
    assert (home / "a.cbx").read_bytes() == b"mine"
    assert sorted(home.rglob("*")) == before
    assert shell("bundle", "build", "a.cbx", "--overwrite", "--store", store, "--key-file", key).exit_code == 0
    assert (home / "a.cbx").read_bytes().startswith(b"compox-bundle/v2\n")


def test_what_may_not_be_exported_stays(shell: Shell, store: Path, key: Path, home: Path) -> None:
    """It is left out with a warning, refused where it was named, and taken along where the operator says so."""
    with cx.Engine(store) as engine:
        engine.deploy(home / "scaling", exportable=False)
    options = ("--store", store, "--key-file", key)
    told = shell("bundle", "build", "a.cbx", *options)
    assert told.exit_code == 0 and "scaling 1 was left out" in told.stderr and "2 algorithms" in told.stderr
    assert shell("bundle", "build", "b.cbx", *options, "-a", "scaling").exit_code == 1
    told = shell("bundle", "build", "b.cbx", *options, "--include-unexportable")
    assert "3 algorithms" in told.stderr


# -- inspect and verify ---------------------------------------------------------------------------------------------


def test_without_a_key_a_bundle_tells_next_to_nothing(shell: Shell, bundle: Path) -> None:
    """Format, size and what opens it: no names."""
    done = shell("bundle", "inspect", bundle)
    assert done.exit_code == 0 and "a key" in done.stdout and "scaling" not in done.output
    told = answer(shell("bundle", "inspect", bundle, "--json"))
    assert (told["version"], told["opened_by"], told["authentic"], told["snapshot"]) == (2, ["key"], False, None)


def test_with_a_key_it_tells_everything(shell: Shell, bundle: Path, key: Path) -> None:
    """As a table, and as JSON."""
    done = shell("bundle", "inspect", bundle, "--key-file", key)
    assert all(name in done.stdout for name in ("scaling", "thresholding", "shifting", "signed by  nobody", "source"))
    told = answer(shell("bundle", "inspect", bundle, "--key-file", key, "--json"))
    assert told["authentic"] is True
    assert [each["name"] for each in told["snapshot"]["algorithms"]] == ["scaling", "shifting", "thresholding"]


def test_a_whole_bundle_is_verified(shell: Shell, bundle: Path, key: Path) -> None:
    """All of it is read; a byte that was changed is found."""
    done = shell("bundle", "verify", bundle, "--key-file", key)
    assert (done.exit_code, done.stdout) == (0, f"{bundle} is whole: 3 algorithms, not signed.\n")
    assert answer(shell("bundle", "verify", bundle, "--key-file", key, "--json"))["whole"] is True
    content = bytearray(bundle.read_bytes())
    content[-20] ^= 1
    bundle.write_bytes(content)
    broken = shell("bundle", "verify", bundle, "--key-file", key, "--json")
    assert broken.exit_code == 1 and answer(broken)["error"]["code"] == "bundle_damaged"


# -- import and diff ------------------------------------------------------------------------------------------------


def test_a_bundle_is_imported_once(shell: Shell, bundle: Path, key: Path, home: Path, coins: Path) -> None:
    """Its algorithms run in the other store; the same again changes nothing."""
    done = shell("bundle", "import", bundle, "--key-file", key, "--store", "other")
    assert done.exit_code == 0 and "scaling 1: new, minor version 0" in done.stdout
    ran = shell("run", "scaling", coins, "--store", "other", "-o", "out.tif")
    assert ran.exit_code == 0, ran.output
    again = shell("bundle", "import", bundle, "--key-file", key, "--store", "other")
    assert again.stdout.splitlines()[-1] == "Nothing was changed."
    assert (
        answer(shell("bundle", "import", bundle, "--key-file", key, "--store", "other", "--json"))["changes"] is False
    )


def test_a_dry_run_changes_nothing(shell: Shell, bundle: Path, key: Path, scaling: Path, home: Path) -> None:
    """It says what an import would do, which then does it."""
    assert shell("deploy", scaling, "--store", "other").exit_code == 0
    options = ("--key-file", key, "--store", "other")
    before = sorted((path, path.stat().st_mtime_ns) for path in (home / "other").rglob("*") if path.is_file())
    plan = answer(shell("bundle", "import", bundle, *options, "--dry-run", "--json"))
    assert plan["dry_run"] is True and plan["changes"] is True
    assert {each["name"]: each["step"] for each in plan["algorithms"]} == {
        "scaling": "none",
        "shifting": "new",
        "thresholding": "new",
    }
    lines = shell("bundle", "import", bundle, *options, "--dry-run").stdout.splitlines()
    assert lines[0] == "scaling 1: nothing to do" and " to store, " in lines[-1]
    assert sorted((path, path.stat().st_mtime_ns) for path in (home / "other").rglob("*") if path.is_file()) == before
    done = answer(shell("bundle", "import", bundle, *options, "--json"))
    assert (done["stored"], done["stored_bytes"]) == (plan["missing"], plan["missing_bytes"])


def test_names_that_are_taken_can_be_changed(shell: Shell, bundle: Path, key: Path, home: Path) -> None:
    """`--rename` gives an algorithm of the bundle another name here; a name that it does not have is told."""
    write_algorithm(home / "Scaling", image_runner("return data"), name="Scaling")
    shell("deploy", home / "Scaling", "--store", "other")
    options = ("--key-file", key, "--store", "other")
    refused = shell("bundle", "import", bundle, *options, "--json")
    assert refused.exit_code == 1 and answer(refused)["error"]["code"] == "algorithm_name_conflict"
    assert shell("bundle", "import", bundle, *options, "--rename", "scaling=theirs").exit_code == 0
    names = [each["name"] for each in answer(shell("list", "--store", "other", "--json"))["algorithms"]]
    assert sorted(names) == ["Scaling", "shifting", "theirs", "thresholding"]
    unknown = shell("bundle", "import", bundle, *options, "--rename", "skaling=a")
    assert unknown.exit_code == 1 and "'skaling'" in unknown.stderr


@pytest.mark.parametrize("words", [["a"], ["=b"], ["a="], ["a=b", "--rename", "a=c"]])
def test_a_rename_has_two_names(shell: Shell, bundle: Path, key: Path, words: list[str]) -> None:
    """Else the command line is wrong."""
    done = shell("bundle", "import", bundle, "--key-file", key, "--store", "other", "--rename", *words)
    assert done.exit_code == 2 and "--rename" in done.stderr


def test_differences_are_told(shell: Shell, bundle: Path, key: Path, store: Path, home: Path) -> None:
    """By algorithm, in both directions."""
    options = (bundle, "--key-file", key, "--store", store)
    assert answer(shell("bundle", "diff", *options, "--json"))["same"] is True
    with cx.Engine(store) as engine:
        engine.deploy(write_algorithm(home / "scaling", image_runner("return data"), name="scaling"))
        engine.deploy(write_algorithm(home / "more", image_runner("return data"), name="more"))
        engine.algorithms.remove("shifting", force=True)
    told = {each["name"]: each for each in answer(shell("bundle", "diff", *options, "--json"))["algorithms"]}
    assert {name: each["state"] for name, each in told.items()} == {
        "more": "store only",
        "scaling": "differs",
        "shifting": "bundle only",
        "thresholding": "same",
    }
    assert "code" in told["scaling"]["differs"]
    shown = shell("bundle", "diff", *options).stdout
    assert "store only" in shown and "bundle only" in shown and "nothing" in shown


# -- which key ------------------------------------------------------------------------------------------------------


def test_keys_come_from_the_environment(
    shell: Shell, store: Path, key: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the command line names goes before it."""
    monkeypatch.setenv("COMPOX_BUNDLE_KEY", BundleKey.generate().text())
    wrong = shell("bundle", "verify", bundle, "--json")
    assert wrong.exit_code == 1 and answer(wrong)["error"]["code"] == "invalid_bundle_key"
    assert shell("bundle", "verify", bundle, "--key-file", key).exit_code == 0
    monkeypatch.setenv("COMPOX_BUNDLE_KEY", key.read_text("utf-8").splitlines()[-1])
    assert shell("bundle", "verify", bundle).exit_code == 0
    monkeypatch.setenv("COMPOX_BUNDLE_PASSPHRASE", "some words")
    assert shell("bundle", "build", "both.cbx", "--store", store).exit_code == 0
    assert answer(shell("bundle", "inspect", "both.cbx", "--json"))["opened_by"] == ["key", "passphrase"]
    monkeypatch.delenv("COMPOX_BUNDLE_KEY")
    assert shell("bundle", "verify", "both.cbx").exit_code == 0
    monkeypatch.setenv("COMPOX_BUNDLE_KEY", "hush-hush")
    typo = shell("bundle", "verify", bundle)
    assert typo.exit_code == 1 and "COMPOX_BUNDLE_KEY: " in typo.stderr and "hush" not in typo.output


def test_a_bundle_for_several(shell: Shell, store: Path, key: Path, home: Path) -> None:
    """Each recipient opens it with the identity, and so does the key; somebody else does not."""
    people = [Identity.generate() for _ in range(3)]
    for number, person in enumerate(people):
        (home / f"{number}.identity").write_text(person.text(), encoding="utf-8")
    recipients = [word for person in people[:2] for word in ("--recipient", person.recipient.text())]
    done = shell("bundle", "build", "a.cbx", "--store", store, "--key-file", key, *recipients)
    assert done.exit_code == 0, done.output
    assert "a key, or 2 identities" in shell("bundle", "inspect", "a.cbx").stdout
    for opener in (key, home / "0.identity", home / "1.identity"):
        assert shell("bundle", "verify", "a.cbx", "--key-file", opener).exit_code == 0
    assert shell("bundle", "verify", "a.cbx", "--key-file", home / "2.identity").exit_code == 1
    alone = shell("bundle", "build", "b.cbx", "--store", store, "--key-file", home / "0.identity", "-a", "scaling")
    assert alone.exit_code == 0 and shell("bundle", "verify", "b.cbx", "--key-file", home / "0.identity").exit_code == 0


def test_a_key_on_the_command_line_is_warned_of(shell: Shell, bundle: Path, key: Path) -> None:
    """It works, and is not shown again."""
    text = key.read_text("utf-8").splitlines()[-1]
    done = shell("bundle", "verify", bundle, "--key", text)
    assert done.exit_code == 0 and "history of the shell" in done.stderr and text not in done.output
    wrong = shell("bundle", "verify", bundle, "--key", f"{text}x")
    assert wrong.exit_code == 1 and "--key: " in wrong.stderr and text not in wrong.output


@pytest.mark.parametrize(
    "content", [b"", b"# nothing\n", b"a\nb\n", b"\xff\xfe", b"x" * 70_000], ids=["empty", "none", "two", "odd", "huge"]
)
def test_a_file_that_holds_no_key_is_told(shell: Shell, bundle: Path, home: Path, content: bytes) -> None:
    """By its name."""
    (home / "k").write_bytes(content)
    done = shell("bundle", "verify", bundle, "--key-file", "k", "--json")
    assert done.exit_code == 1 and answer(done)["error"]["code"] == "invalid_bundle_key"
    assert "'k' is no key file" in done.stderr


def test_where_nobody_can_be_asked_it_says_how_to_give_a_key(shell: Shell, bundle: Path, store: Path) -> None:
    """Exit code 2, and nothing is written."""
    for words in (["verify", bundle], ["import", bundle, "--store", store], ["build", "a.cbx", "--store", store]):
        done = shell("bundle", *words)
        assert done.exit_code == 2 and "--key-file" in done.stderr and "COMPOX_BUNDLE_KEY" in done.stderr
    words = shell("bundle", "build", "a.cbx", "--store", store, "--passphrase")
    assert words.exit_code == 2 and "COMPOX_BUNDLE_PASSPHRASE" in words.stderr
    assert not Path("a.cbx").exists()


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_person_is_asked(store: Path, bundle: Path, key: Path) -> None:
    """For the key, or a passphrase where nothing else opens the bundle; what is typed is not shown."""
    text = key.read_text("utf-8").splitlines()[-1]
    code, shown = answered(CLI, "bundle", "verify", bundle, answers=[("Key of ", text)])
    assert code == 0 and text not in shown, shown
    build = (CLI, "bundle", "build", "w.cbx", "--store", store, "--passphrase")
    first = ("Passphrase: ", "some words")
    code, shown = answered(*build, answers=[first, ("Once more: ", "other words")])
    assert code == 2 and "two different passphrases" in shown and "some words" not in shown, shown
    code, shown = answered(*build, answers=[first, ("Once more: ", "some words")])
    assert code == 0, shown
    code, shown = answered(CLI, "bundle", "verify", "w.cbx", answers=[("Passphrase of w.cbx", "some words")])
    assert code == 0 and "some words" not in shown, shown


# -- who built it ---------------------------------------------------------------------------------------------------


def test_only_trusted_signers_are_believed(shell: Shell, store: Path, key: Path, bundle: Path, home: Path) -> None:
    """An unsigned bundle is refused, and one that somebody else signed; the right one says whose it is."""
    mine, other = SigningKey.generate(), SigningKey.generate()
    (home / "sign").write_text(mine.text(), encoding="utf-8")
    assert (
        shell(*("bundle", "build", "signed.cbx", "--store", store, "--key-file", key, "--sign-with", "sign")).exit_code
        == 0
    )
    trust = ("--key-file", key, "--trust", mine.signer.text())
    assert f"signed by {mine.signer.text()}" in shell("bundle", "verify", "signed.cbx", *trust).stdout
    assert mine.signer.text() in shell("bundle", "inspect", "signed.cbx", "--key-file", key).stdout
    for path, signer in ((bundle, mine), (home / "signed.cbx", other)):
        for command in (["verify", path], ["inspect", path], ["import", path, "--store", "other"]):
            done = shell("bundle", *command, "--key-file", key, "--trust", signer.signer.text(), "--json")
            assert done.exit_code == 1 and answer(done)["error"]["code"] == "invalid_bundle_signature", command
    assert shell("bundle", "import", "signed.cbx", "--store", "other", *trust).exit_code == 0


def test_the_configuration_says_whom_to_trust(shell: Shell, store: Path, key: Path, bundle: Path, home: Path) -> None:
    """`storage.trusted_signers` holds for imports, of version 1 too, which has no signatures."""
    signing = SigningKey.generate()
    (home / "sign").write_text(signing.text(), encoding="utf-8")
    (home / "c.yaml").write_text(
        f"storage: {{trusted_signers: ['{signing.signer.text()}'], backend_settings: {{path: other}}}}",
        encoding="utf-8",
    )
    build = ("--store", store, "--key-file", key)
    assert shell("bundle", "build", "old.zip", *build, "--format", "1").exit_code == 0
    assert shell("bundle", "build", "signed.cbx", *build, "--sign-with", "sign").exit_code == 0
    for path, code in ((bundle, 1), (Path("old.zip"), 1), (Path("signed.cbx"), 0)):
        assert shell("bundle", "import", path, "--key-file", key, "--config", "c.yaml").exit_code == code
    (home / "c.yaml").write_text("storage: {trusted_signers: [somebody]}", encoding="utf-8")
    wrong = shell("bundle", "import", "signed.cbx", "--key-file", key, "--config", "c.yaml")
    assert wrong.exit_code == 1 and "trusted_signers" in wrong.stderr


# -- version 1 ------------------------------------------------------------------------------------------------------


def test_the_ancestors_format_is_written_and_found(shell: Shell, store: Path, key: Path) -> None:
    """It tells names without a key, which anybody may have written; it takes one key and no signature."""
    assert shell("bundle", "build", "a.zip", "--format", "1", "--store", store, "--key-file", key).exit_code == 0
    open_to_all = shell("bundle", "inspect", "a.zip").stdout
    assert "scaling" in open_to_all and "anybody may have written that" in open_to_all
    assert shell("bundle", "verify", "a.zip", "--key-file", key).exit_code == 0
    assert shell("bundle", "import", "a.zip", "--key-file", key, "--store", "other").exit_code == 0
    refused = shell(
        *("bundle", "build", "b.zip", "--format", "1", "--store", store),
        *("--recipient", Identity.generate().recipient.text()),
    )
    assert refused.exit_code == 1 and "format 1" in refused.stderr


def test_a_file_that_is_no_bundle(shell: Shell, key: Path, home: Path) -> None:
    """It is told so by every command, with the file's fault and no traceback."""
    (home / "x.cbx").write_bytes(b"not one")
    for words in (["inspect"], ["verify"], ["import", "--store", "s"]):
        done = shell("bundle", words[0], "x.cbx", "--key-file", key, *words[1:], "--json")
        assert done.exit_code == 1 and answer(done)["error"]["code"] == "invalid_algorithm_bundle"
