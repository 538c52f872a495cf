"""Bodies for schemathesis, which knows JSON only: it imports this module by name."""

from __future__ import annotations

import tempfile
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

from tests.http.serving import DOUBLE, FACTOR, hdf5_bytes, image, write_algorithm
from tests.http.test_v1_algorithms import zipped

with tempfile.TemporaryDirectory() as made:
    FILE = hdf5_bytes(Path(made), image=image())
    ZIP = zipped(write_algorithm(Path(made) / "zipped", "zipped", DOUBLE, extra=FACTOR))

schemathesis.openapi.media_type("application/octet-stream", st.sampled_from([FILE, FILE[:100]]) | st.binary())
schemathesis.openapi.media_type("application/zip", st.sampled_from([ZIP, ZIP[:-1]]) | st.binary())
