"""Another process that writes to a store: `python -m tests.contracts.store_child ARGUMENTS`, told what by JSON.

It says `ready`, waits for a line, does its command, and says what it did.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from compox_core.errors import ConflictError
from compox_core.storage import FILES, ObjectStore, open_store


def create(store: ObjectStore, keys: list[str], data: bytes, threads: int) -> None:
    """Create every key in each thread and tell which of them were free."""
    won = []

    def race() -> None:
        for key in keys:
            try:
                store.create(FILES, key, data)
            except ConflictError:
                continue
            won.append(key)

    with ThreadPoolExecutor(threads) as pool:
        for racer in [pool.submit(race) for _ in range(threads)]:
            racer.result()
    print(json.dumps(won), flush=True)


def stream(store: ObjectStore, keys: list[str], data: bytes, threads: int) -> None:
    """Write everything into a stream and wait to be killed before it ends."""
    with store.write(FILES, keys[0]) as file:
        file.write(data)
        file.flush()
        print("written", flush=True)
        time.sleep(300)


def put(store: ObjectStore, keys: list[str], data: bytes, threads: int) -> None:
    """Write one key after the other and tell each when it is written."""
    for key in keys:
        store.put(FILES, key, data)
        print(key, flush=True)


def main() -> None:
    """Do what the arguments say."""
    arguments = json.loads(sys.argv[1])
    store = open_store(**arguments["opened"])
    store.is_empty()  # whatever is imported or connected late is so now
    print("ready", flush=True)
    sys.stdin.readline()
    commands = {"create": create, "stream": stream, "put": put}
    data = bytes.fromhex(arguments["data"]) * arguments["size"]
    commands[arguments["command"]](store, arguments["keys"], data, arguments["threads"])


if __name__ == "__main__":
    main()
