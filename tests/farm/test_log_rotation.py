"""The audit log under the real logrotate(8), by the configuration that is installed: the chain goes on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.farm.farmside import TOP, Farm, sources, until
from tests.farm.test_services import users_of

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="logrotate becomes the log's owner, which takes root")

CONFIGURATION = TOP / "packaging/logrotate.d/securecc"
ASKED = "kill --kill-whom=main --signal=HUP secureccd.service"
SYSTEMCTL = f"""#!/bin/sh
[ "$*" = "{ASKED}" ] || exit 1
kill -HUP {{pid}}
"""
INSTALLED = """\
mount -t tmpfs tmpfs /var/log && mkdir /var/log/securecc && mount --bind "$1" /var/log/securecc &&
mount --bind "$2/passwd" /etc/passwd && mount --bind "$2/group" /etc/group && shift 2 && exec "$@"
"""


class Logrotate:
    """The configuration as it stands, where the farm's log and the front's user have their names on an installed
    server; what it asks the service manager for asks the daemon.
    """

    def __init__(self, farm: Farm, folder: Path) -> None:
        self._server, self._folder = farm.server, folder
        self.log = farm.server.folder / "audit.jsonl"
        self.user = users_of(farm.server)["front"]
        for name, rest in (("passwd", f"{self.user}::/:/bin/sh"), ("group", "")):
            ours = f"securecc:x:{self.user}:{rest}\n"
            (folder / name).write_text(Path(f"/etc/{name}").read_text() + ours)
        (folder / "systemctl").write_text(SYSTEMCTL.format(pid=farm.server.pid))
        (folder / "systemctl").chmod(0o755)
        shutil.copy(CONFIGURATION, folder / "securecc")
        (folder / "securecc").chmod(0o644)

    def run(self, *words: str) -> str:
        """As cron does; what it says. A rotated file is named by its second, so each needs one of its own."""
        second = int(time.time())
        until(lambda: int(time.time()) > second, what="the next second")
        command = ["logrotate", "--verbose", "--state", f"{self._folder}/state", *words, f"{self._folder}/securecc"]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", INSTALLED, "sh", self._server.folder, self._folder, *command],
            env={"PATH": f"{self._folder}:/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "error:" not in done.stderr
        return str(done.stderr)

    def rotate(self) -> None:
        """By force; returns when the daemon has its new file and has loaded all else anew too, as SIGHUP asks."""
        before = self.log.stat().st_ino
        self.run("--force")
        until(lambda: self.log.exists() and self.log.stat().st_ino != before, what="the new file")
        until(lambda: self._server.audit(kind="daemon", event="reload"), what="the record of the reload")

    def parts(self) -> list[Path]:
        return sorted(path for path in self.log.parent.glob("audit.jsonl-*"))


def audit(farm: Farm, *words: object, status: int = 0) -> str:
    config = farm.server.folder / "config.yaml"
    done = farm.run("securecctl", "audit", *words, "--config", config, cwd=farm.folder)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_the_chain_goes_on_over_rotated_and_compressed_parts(farm: Farm, tmp_path: Path) -> None:
    rotation = Logrotate(farm, tmp_path)
    made = sources(tmp_path, 3)
    for source in made:
        assert farm.compile(source, SECURECC_FALLBACK="0").returncode == 0
        until(lambda: farm.audit(kind="job-end", outcome="done"), what="the job's record")
        rotation.rotate()
    parts = rotation.parts()
    assert [path.suffix == ".gz" for path in parts] == [True, True, False], "the last one is compressed a turn later"
    for path in (*parts, rotation.log):
        assert path.stat().st_mode & 0o777 == 0o640
        assert path.stat().st_uid == rotation.user

    last = farm.audit()[-1]["seq"]
    assert f"verified: {last} records" in audit(farm, "verify"), "all parts, without being told of them"
    assert str(parts[0]) in audit(farm, "trace", made[0].with_suffix(".o"))
    older = re.search(r"the last is (\S+)", audit(farm, "verify", *parts))
    assert older is not None
    assert f"verified: {last - int(older[1].partition(':')[0])} rec" in audit(
        farm, "verify", rotation.log, "--after", older[1]
    )

    kept = parts[1].read_bytes()
    parts[1].unlink()
    assert "their file is not among those given" in audit(farm, "verify", rotation.log, "--rotated", status=1)
    parts[1].write_bytes(kept)
    audit(farm, "verify", rotation.log, "--rotated")


def test_it_does_not_rotate_what_is_young_and_small(farm: Farm, tmp_path: Path) -> None:
    rotation = Logrotate(farm, tmp_path)
    before = rotation.parts()
    assert "log does not need rotating" in rotation.run()
    assert rotation.parts() == before
