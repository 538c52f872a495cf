"""One of several clients that run an algorithm as often as it goes: started by `benchmarks.http`.

It speaks plain `http.client`, so that on few cores the server is measured and not its clients. It prints "ready", waits
for a line, and prints how many runs a second it saw completed.
"""

from __future__ import annotations

import http.client
import json
import sys
import time

POLL_SECONDS = 0.01


def main(url: str, algorithm_id: str, file_id: str, duration: float) -> None:
    """Run for `duration` seconds."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    body = json.dumps({"algorithm_id": algorithm_id, "input_dataset_ids": [file_id]})

    def ask(method: str, path: str, content: str | None = None) -> dict[str, str]:
        connection.request(method, f"/api/v0/{path}", content)
        answer: dict[str, str] = json.loads(connection.getresponse().read())
        return answer

    def run() -> None:
        execution_id = ask("POST", "execute-algorithm", body)["execution_id"]
        while (status := ask("GET", f"executions/{execution_id}")["status"]) != "COMPLETED":
            assert status not in ("FAILED", "STOPPED"), status
            time.sleep(POLL_SECONDS)

    run()
    print("ready", flush=True)
    sys.stdin.readline()
    began, runs = time.perf_counter(), 0
    while time.perf_counter() - began < duration:
        run()
        runs += 1
    print(runs / (time.perf_counter() - began))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
