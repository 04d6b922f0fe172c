"""Bytes on the wire for the second compile of a C++ file after one of its 240 headers changed."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import time
from pathlib import Path

import peers
import sources
import zstandard
from measure import run
from verdict import Target, judge, table


class Meter:
    """A door before the server that counts what goes through it, both ways. TLS and Kerberos do not notice."""

    def __init__(self, port: int) -> None:
        self._server = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self.up = 0
        self.down = 0
        threading.Thread(target=self._admit, daemon=True).start()

    def read(self) -> tuple[int, int]:
        """Bytes to and from the server so far, once nothing moves any more."""
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
        header = files.where / "own.h"
        spent = (0, 0)
        for title in ("first compile", "again, nothing changed", "again, one header changed"):
            if title.endswith("header changed"):
                header.write_text(header.read_text().replace("x + 1", "x + 2"))
            run([*ours.prefix, *files.command(files.files[0], target)], ours.environment, files.where)
            seen = meter.read()
            up, down = seen[0] - spent[0], seen[1] - spent[1]
            made = len(zstandard.compress(target.read_bytes()))
            rows.append((title, f"{up:,}", f"{down:,}", f"{made:,}"))
            spent = seen
        beside = up + max(0, down - made)
    table("C++ with 240 headers: bytes", ("", "to server", "from server", "object as zstd"), rows)
    judge("wire", [Target("bytes after one header changed, object aside", beside / 1000, 40, " kB")])


if __name__ == "__main__":
    main()
