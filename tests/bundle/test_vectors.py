"""The files in `vectors` open, or are refused, as their index says: by the product, and by a reader of its own."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compox_core.bundle.container import open_bundle
from compox_core.bundle.keys import BundleKey, Identity, Passphrase, Signer, Unlock
from compox_core.errors import InvalidInputError
from tests.bundle import spec_reader

FOLDER = Path(__file__).parent / "vectors"
INDEX: list[dict[str, Any]] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
GOOD = [row for row in INDEX if "code" not in row]
BAD = [row for row in INDEX if "code" in row]


def unlock_of(row: dict[str, Any]) -> Unlock:
    """Return what opens a vector, or is tried on it."""
    if "key" in row:
        return BundleKey.parse(row["key"])
    return Passphrase(row["passphrase"]) if "passphrase" in row else Identity.parse(row["identity"])


def trusted_of(row: dict[str, Any]) -> list[Signer] | None:
    """Return the signers that are demanded."""
    return [Signer.parse(text) for text in row["trusted_signers"]] if "trusted_signers" in row else None


def read_by_the_page(row: dict[str, Any]) -> spec_reader.Found:
    """Read a vector by the second reader."""
    what = next(each for each in ("key", "passphrase", "identity") if each in row)
    trusted = row.get("trusted_signers")
    return spec_reader.read(
        (FOLDER / row["file"]).read_bytes(),
        (what, row[what]),
        None if trusted is None else [spec_reader.public_of(text) for text in trusted],
    )


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row["file"])
def test_a_good_file_holds_what_its_index_says(row: dict[str, Any]) -> None:
    """Whatever the slot, manifest, blobs and signer come out."""
    with open_bundle(FOLDER / row["file"], [unlock_of(row)], trusted_signers=trusted_of(row)) as bundle:
        assert bundle.manifest == row["manifest"].encode()
        assert [base64.b64encode(blob.read()).decode() for blob in bundle.blobs()] == row["blobs"]
        assert (bundle.signer and bundle.signer.text()) == row.get("signer")


@pytest.mark.parametrize("row", BAD, ids=lambda row: row["file"])
def test_a_bad_file_is_refused_with_its_code(row: dict[str, Any]) -> None:
    """Each class of failure has its own code, and nobody has to read to the end to be told of a wrong front."""
    with pytest.raises(InvalidInputError) as caught:  # noqa: SIM117
        with open_bundle(FOLDER / row["file"], [unlock_of(row)], trusted_signers=trusted_of(row)) as bundle:
            bundle.verify()
    assert caught.value.code == row["code"]


@pytest.mark.parametrize("row", GOOD, ids=lambda row: row["file"])
def test_the_page_is_enough_to_read_a_good_file(row: dict[str, Any]) -> None:
    """A reader that was written from the specification alone finds the same."""
    found = read_by_the_page(row)
    assert found.manifest == row["manifest"].encode()
    assert [base64.b64encode(blob).decode() for blob in found.blobs] == row["blobs"]
    assert found.signer == (spec_reader.public_of(row["signer"]) if "signer" in row else None)


@pytest.mark.parametrize("row", BAD, ids=lambda row: row["file"])
def test_the_page_is_enough_to_refuse_a_bad_file(row: dict[str, Any]) -> None:
    """What the specification demands is what makes these files bad."""
    with pytest.raises(spec_reader.RefusedError):
        read_by_the_page(row)


def test_the_vectors_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    """The product writes today what it wrote when the vectors were made."""
    root = FOLDER.parents[2]
    subprocess.run([sys.executable, str(root / "tools" / "make_bundle_vectors.py"), str(tmp_path)], check=True)
    files = {path.name for path in FOLDER.iterdir() if path.suffix in (".bundle", ".json")}
    assert {path.name for path in tmp_path.iterdir()} == files == {row["file"] for row in INDEX} | {"index.json"}
    for name in files:
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes(), name
