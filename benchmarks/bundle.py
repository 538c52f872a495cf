"""What a bundle costs beside the least that does the same work: read, hash, encrypt and write in one plain loop.

`python -m benchmarks.bundle [--quick]`
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.common import MIB, Report, seconds
from compox_core.bundle.container import BlobSource, open_bundle, write_bundle
from compox_core.bundle.keys import BundleKey
from compox_core.engine import Engine

GIB = 1 << 30
BLOBS = 8
ZEROS = bytes(MIB)
RUNNER = "from compox_core.runners import BaseRunner\n\n\nclass Runner(BaseRunner):\n    pass\n"
PYPROJECT = '[project]\nname = "heavy"\nversion = "1.0"\n\n[tool.compox]\ntags = []\ndescription = "Weights."\n'


class Subject:
    """Files that are built into a bundle and read back, and the same by plain loops."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
        self.key = BundleKey.generate()
        self.sources = []
        for number in range(BLOBS):
            path = folder / f"source-{number}"
            digest = hashlib.sha256()
            with path.open("wb") as file:
                for _ in range(size // BLOBS // MIB):
                    part = secrets.token_bytes(MIB)
                    digest.update(part)
                    file.write(part)
            self.sources.append((path, digest.hexdigest()))
        self.bundle = folder / "bundle"
        self.plain = folder / "plain"
        self.target = folder / "target"
        self.unpacked = folder / "unpacked"

    def reset(self) -> None:
        """Remove what was read. Memory that a system gives anew costs several times what it gives again costs."""
        self.target.unlink(missing_ok=True)
        shutil.rmtree(self.unpacked, ignore_errors=True)
        with self.target.open("wb", buffering=0) as file:  # so that each begins with as much memory just given back
            for _ in range(self.size * 5 // 4 // MIB):
                file.write(ZEROS)
        self.target.unlink()

    def build(self) -> None:
        """Write the bundle."""
        blobs = [BlobSource(p.stat().st_size, sha256, lambda p=p: p.open("rb")) for p, sha256 in self.sources]
        with self.bundle.open("wb", buffering=0) as sink:
            write_bundle(sink, b"{}", blobs, [self.key])

    def read(self) -> None:
        """Read the bundle's blobs into a file each."""
        with open_bundle(self.bundle, [self.key]) as bundle:
            for blob in bundle.blobs():
                with self.target.open("wb", buffering=0) as sink:
                    for piece in blob.pieces():
                        sink.write(piece)

    def plain_build(self) -> None:
        """Read, hash, encrypt and write, one after the other."""
        cipher, number = AESGCM(self.key.raw), 0
        with self.plain.open("wb", buffering=0) as sink:
            for path, sha256 in self.sources:
                digest = hashlib.sha256()
                with path.open("rb", buffering=0) as source:
                    while part := source.read(MIB):
                        digest.update(part)
                        sink.write(cipher.encrypt(number.to_bytes(12, "big"), part, None))
                        number += 1
                assert digest.hexdigest() == sha256

    def plain_read(self) -> None:
        """Read, decrypt, hash and write into one file, which is written over, one after the other."""
        self._plain_read(lambda path: self.target)

    def plain_unpack(self) -> None:
        """Do what `plain_read` does, with a new file for each blob."""
        self.unpacked.mkdir()
        self._plain_read(lambda path: self.unpacked / path.name)

    def _plain_read(self, target_of: Callable[[Path], Path]) -> None:
        cipher, number = AESGCM(self.key.raw), 0
        with self.plain.open("rb", buffering=0) as source:
            for path, sha256 in self.sources:
                digest = hashlib.sha256()
                with target_of(path).open("wb", buffering=0) as sink:
                    for _ in range(path.stat().st_size // MIB):
                        part = cipher.decrypt(number.to_bytes(12, "big"), source.read(MIB + 16), None)
                        digest.update(part)
                        sink.write(part)
                        number += 1
                assert digest.hexdigest() == sha256

    def encrypt(self) -> None:
        """Encrypt as much memory, and read and write nothing."""
        cipher, part = AESGCM(self.key.raw), secrets.token_bytes(MIB)
        for number in range(self.size // MIB):
            cipher.encrypt(number.to_bytes(12, "big"), part, None)

    def copy(self) -> None:
        """Read and write, and nothing else."""
        with self.target.open("wb", buffering=0) as sink:
            for path, _ in self.sources:
                with path.open("rb", buffering=0) as source:
                    while part := source.read(MIB):
                        sink.write(part)


class Shipment:
    """The same contents as weights of an algorithm in one store, which are built into a bundle there and imported into
    another store."""

    def __init__(self, subject: Subject) -> None:
        self.bundle = subject.folder / "shipped"
        self.key = subject.key
        self.target = subject.folder / "elsewhere"
        package = subject.folder / "package"
        package.mkdir()
        (package / "Runner.py").write_text(RUNNER, encoding="utf-8")
        (package / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
        for path, _ in subject.sources:
            (package / f"{path.name}.bin").hardlink_to(path)
        self.engine = Engine(subject.folder / "store", executor="inline").open()
        self.engine.deploy(package)

    def build(self) -> None:
        """Build the bundle."""
        self.engine.bundles.build(self.bundle, key=self.key)

    def bring(self) -> None:
        """Import it."""
        with Engine(self.target, executor="inline") as engine:
            report = engine.bundles.import_(self.bundle, key=self.key)
        assert report.stored_bytes

    def reset(self, action: Callable[[], None]) -> None:
        """Have the other store empty again, and before it is built no bundle."""
        shutil.rmtree(self.target, ignore_errors=True)
        if action == self.build:
            self.bundle.unlink(missing_ok=True)


def measure_speed(report: Report, folder: Path, size: int, times: int) -> None:
    """Compare in turns, so that a noisy moment falls on all."""
    subject = Subject(folder, size)
    shipment = Shipment(subject)
    actions: list[Callable[[], None]] = [
        subject.build,
        subject.plain_build,
        subject.read,
        subject.plain_read,
        shipment.build,
        shipment.bring,
        subject.plain_unpack,
        subject.encrypt,
        subject.copy,
    ]
    taken: list[list[float]] = [[] for _ in actions]
    for _ in range(times):
        for action, found in zip(actions, taken, strict=True):
            subject.reset()
            shipment.reset(action)
            found.append(seconds(action))
    shipment.engine.close()
    # The best of each: a round in which the machine had to find new memory for files takes up to four times as long,
    # whoever writes them.
    speeds = [size / MIB / min(found) for found in taken]
    building, reading, unpacking = speeds[1], speeds[3], speeds[6]
    for name, ours, plain in (
        ("build a bundle, file to file", speeds[0], building),
        ("read a bundle, file to file", speeds[2], reading),
        ("build a bundle of a store", speeds[4], building),
        ("import it into a store", speeds[5], unpacking),
    ):
        report.add(
            f"{name}, {size // MIB} MiB in {BLOBS} blobs",
            f"{ours:.0f} MiB/s",
            baseline=f"one plain loop {plain:.0f} MiB/s",
            ratio=f"{ours / plain:.2f}",
            target="≥ 1.00",
            met=ours >= plain,
        )
        for other, speed in (("AES-256-GCM alone", speeds[7]), ("a copy", speeds[8])):
            report.add("", "", baseline=f"{other} {speed:.0f} MiB/s", ratio=f"{ours / speed:.2f}")


class Zeros(io.RawIOBase):
    """So many zeros."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer."""
        count = min(len(buffer), self.left, MIB)
        buffer[:count] = ZEROS[:count]
        self.left -= count
        return count


def build_and_read(path: Path, size: int) -> None:
    """Build a bundle of one blob, read it, and print the process's peak of memory in bytes."""
    digest, key = hashlib.sha256(), BundleKey.generate()
    for _ in range(size // MIB):
        digest.update(ZEROS)

    def zeros() -> BinaryIO:
        return Zeros(size)  # type: ignore[return-value]

    with path.open("wb", buffering=0) as sink:
        write_bundle(sink, b"{}", [BlobSource(size, digest.hexdigest(), zeros)], [key])
    with open_bundle(path, [key]) as bundle:
        bundle.verify()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak if sys.platform == "darwin" else peak * 1024)


def measure_memory(report: Report, folder: Path, small: int, large: int) -> None:
    """Build and read bundles of two sizes, each in a process of its own."""
    peaks = []
    for size in (small, large):
        path = folder / "large"
        command = [sys.executable, "-m", "benchmarks.bundle", "--memory-of", str(size), str(path)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        path.unlink()
    report.add(
        f"peak memory, build and read {large / GIB:g} GiB",
        f"{peaks[1] / MIB:.0f} MiB",
        baseline=f"{small / GIB:g} GiB: {peaks[0] / MIB:.0f} MiB",
        ratio=f"{peaks[1] / peaks[0]:.2f}",
        target="≤ 1.05",
        met=peaks[1] <= peaks[0] * 1.05,
    )


def main() -> int:
    """Measure, print, and say by the exit status whether every target holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller bundles")
    parser.add_argument("--memory-of", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--folder", default=os.environ.get("TMPDIR"), help="where to write, 10 GB at most")
    options = parser.parse_args()
    if options.memory_of:
        build_and_read(Path(options.memory_of[1]), int(options.memory_of[0]))
        return 0
    report = Report("Bundles")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        measure_speed(report, folder, 256 * MIB if options.quick else GIB, 3 if options.quick else 5)
        measure_memory(report, folder, GIB // 4 if options.quick else GIB, GIB if options.quick else 4 * GIB)
    return 0 if report.show() else 1


if __name__ == "__main__":
    sys.exit(main())
