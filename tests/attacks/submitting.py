"""A case of the corpus, submitted: raw on the protocol, past the client's own filter, and through the wrapper."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securecc.model.manifest import Entry, Kind, Role
from tests.attacks.corpus import Case
from tests.attacks.raw import PREDEF, End, Raw, blob, file
from tests.farm.farmside import Farm

TOOLS = "/usr/lib/gcc/x86_64-linux-gnu/12"
RAW_PLACE = "/home/mallory"


@dataclass(frozen=True, slots=True)
class Names:
    """What stands for PLACE (the case's directory) and OWNED (a file that nobody may make) this time."""

    place: str
    owned: Path

    def put(self, text: str) -> bytes:
        """The text with its names."""
        named = text.replace("PLACE", self.place).replace("OWNED", str(self.owned)).replace("TOOLS", TOOLS)
        return named.encode("utf-8", "surrogateescape")


def submit_raw(farm: Farm, case: Case, names: Names) -> End:
    """As somebody does who has written a client of his own."""

    async def go() -> End:
        async with Raw(farm) as raw:
            shared_trees = {known.path: known.digest for known in raw.welcome.shared_trees}
            contents = {_within(names, path): names.put(text) for path, text in case.files.items()}
            if not any("layer" in said for said in case.tree):  # it would stand in one
                contents[PREDEF] = b"\n"
            entries = [file(path, content) for path, content in contents.items()]
            entries += [_entry(names, said, shared_trees) for said in case.tree]
            contents |= {b"%d" % number: names.put(str(said["text"])) for number, said in enumerate(case.tree)}
            entries.sort(key=lambda entry: entry.path, reverse=not case.in_order)
            return await raw.run(
                map(names.put, case.arguments),
                contents,
                entries,
                driver=names.put(case.driver),
                cwd=names.put(case.cwd),
                environment={names.put(name): names.put(value) for name, value in case.environment.items()},
            )

    return asyncio.run(go())


def _within(names: Names, path: str) -> bytes:
    return names.put(path if path.startswith("/") else f"PLACE/{path}")


def _entry(names: Names, said: Mapping[str, Any], shared_trees: Mapping[bytes, bytes]) -> Entry:
    own = {key: said[key] for key in ("size", "mode", "mtime_ns", "inode") if key in said}
    if "role" in said:
        own["role"] = Role(said["role"])
    if "blob" in said:
        own["blob"] = said["blob"].encode()
    if "file" in said:
        return file(names.put(said["file"]), names.put(said["text"]), **own)
    if "link" in said:
        return Entry(names.put(said["link"]), Kind.LINK, blob=names.put(said["to"]), role=Role.PRESENT)
    if "folder" in said:
        return Entry(names.put(said["folder"]), Kind.DIRECTORY, role=Role.PRESENT)
    digest = shared_trees.get(names.put(said.get("of", "")), blob(b"nobody's"))
    return Entry(
        names.put(said["layer"]), Kind.SHARED_TREE, **{"mode": 0o755, "role": Role.PRESENT, "blob": digest, **own}
    )


def submit_by_wrapper(farm: Farm, case: Case, names: Names) -> subprocess.CompletedProcess[str]:
    """As a makefile does; nothing is compiled locally, so that all that is made was made by the server."""
    for path, text in case.files.items():
        where = Path(_within(names, path).decode())
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(names.put(text))
    for said in case.tree:
        _plant(names, said)
    words = [names.put(word).decode("utf-8", "surrogateescape") for word in ("gcc", *case.arguments)]
    environment = {name: names.put(value).decode() for name, value in case.environment.items()}
    return farm.run(
        "securecc", *words, cwd=Path(names.put(case.cwd).decode()),
        **{**environment, "SECURECC_FALLBACK": "0"},
    )  # fmt: skip


def _plant(names: Names, said: Mapping[str, Any]) -> None:
    """An entry of the tree, on the client's own disk."""
    if "folder" in said:
        Path(names.put(said["folder"]).decode()).mkdir(parents=True)
    elif "link" in said:
        Path(names.put(said["link"]).decode()).symlink_to(names.put(said["to"]).decode())
    else:
        Path(names.put(said["file"]).decode()).write_bytes(names.put(said["text"]))
