"""What clients have a server hold: connections, files, threads."""

from __future__ import annotations

from urllib.parse import urlsplit

import psutil


def held_by(process: psutil.Process, url: str) -> int:
    """Return how many files a process has open, and connections of the server at a URL, be it their one end or both.

    Connections to an S3 server are not counted: its client keeps up to 32 of them for whoever comes next.
    """
    port = urlsplit(url).port
    ends = [(each.laddr, each.raddr) for each in process.net_connections("tcp")]
    return len(process.open_files()) + sum(port in {end.port for end in both if end} for both in ends)
