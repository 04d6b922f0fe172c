"""Bytes on the wire for a C++ file with 240 headers: known, after one changed, with system headers as shared trees."""

from __future__ import annotations

import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import farm
import peers
import sources
import zstandard
from measure import run
from verdict import Target, judge, table

_FIRST, _KNOWN, _CHANGED = "first compile", "again, nothing changed", "again, one header changed"
_TREES = 30
_SHARED, _SHARED_CHANGED = "with shared trees, nothing changed", "with shared trees, one header changed"


class Meter:
    """A TCP proxy in front of the server that counts bytes in both directions. TLS and Kerberos do not notice."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.up = 0
        self.down = 0
        threading.Thread(target=self._admit, daemon=True).start()

    def read(self) -> tuple[int, int]:
        """Bytes to and from the server so far, once traffic has stopped."""
        seen = None
        while seen != (self.up, self.down):
            seen = (self.up, self.down)
            time.sleep(0.2)
        return seen

    def _admit(self) -> None:
        while True:
            client = self._door.accept()[0]
            server = socket.create_connection(("127.0.0.1", self._server))
            threading.Thread(target=self._carry, args=(client, server, "up"), daemon=True).start()
            threading.Thread(target=self._carry, args=(server, client, "down"), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, way: str) -> None:
        while data := source.recv(65536):
            setattr(self, way, getattr(self, way) + len(data))
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def main() -> None:
    host, _, slots = os.environ["SECURECC_HOSTS"].partition("/")
    meter = Meter(int(host.rpartition(":")[2]))
    ours = peers.ours(SECURECC_HOSTS=f"localhost:{meter.port}/{slots}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="securecc-bench-") as folder:
        files = sources.cplusplus(Path(folder) / "files", 1, "wire")
        target = Path(folder) / "unit.o"
        command = [*ours.prefix, *files.command(files.files[0], target)]
        header = files.where / "own.h"
        spent = (0, 0)
        beside = {}
        for title in (_FIRST, _KNOWN, _CHANGED, _SHARED, _SHARED_CHANGED):
            if title in {_CHANGED, _SHARED_CHANGED}:
                header.write_text(header.read_text().replace("x + ", "x + 1 + "))
            if title == _SHARED:
                _until_shared_trees_stand(lambda: run(command, ours.environment, files.where))
                spent = meter.read()
            run(command, ours.environment, files.where)
            seen = meter.read()
            up, down = seen[0] - spent[0], seen[1] - spent[1]
            made = len(zstandard.compress(target.read_bytes()))
            rows.append((title, f"{up:,}", f"{down:,}", f"{made:,}"))
            beside[title] = (up + max(0, down - made)) / 1000
            spent = seen
            if title == _SHARED:
                for _ in range(_TREES):
                    run(command, ours.environment, files.where)
                tree_s = statistics.median(farm.trees(_TREES))
                spent = meter.read()
    table("C++ with 240 headers: bytes", ("", "to server", "from server", "object as zstd"), rows)
    targets = [
        Target("bytes after one header changed, without the object", beside[_CHANGED], 40, " kB"),
        Target("bytes of a known compile with shared trees, without the object", beside[_SHARED], 5, " kB"),
        Target(f"its tree, median of {_TREES}", tree_s * 1000, 0.5, " ms"),
    ]
    judge("wire", targets)


def _until_shared_trees_stand(compile_again: Callable[[], object]) -> None:
    """The agent examines its trees once some compiles could have used them; then the inputs are learnt anew."""
    for _ in range(12):
        compile_again()
    time.sleep(5)
    for _ in range(3):
        compile_again()


if __name__ == "__main__":
    main()
