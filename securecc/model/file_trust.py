"""Whether a file or directory can be trusted: who else could have written it. Modelled on sshd's StrictModes."""

import os
import stat
from collections.abc import Collection

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def distrust(path: str, found: os.stat_result, owners: Collection[int], harm: str, *, group: bool = False) -> str:
    """Why the file at `path` must not be trusted, and what to do; empty if it may be. `owners` are the uids that may
    own it besides root; `harm` says what anyone who can write it could do ("can forge audit records").

    In a sticky directory (/tmp) only the owner of a file can replace it. With `group`, a group may write to what root
    owns: on some systems /var/log is writable by a group.
    """
    mode = found.st_mode
    others = stat.S_IWOTH if group and found.st_uid == 0 else _OTHERS_WRITE
    if mode & others and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        shown = stat.filemode(mode)
        return (
            f"{path}: others than its owner may write it ({shown}); anyone who can write it {harm}: chmod go-w {path}"
        )
    if found.st_uid != 0 and found.st_uid not in owners:
        whose = " or ".join(["root", *(f"uid {uid}" for uid in owners if uid)])
        return f"{path}: owned by uid {found.st_uid}, not by {whose}: chown root {path}"
    return ""
