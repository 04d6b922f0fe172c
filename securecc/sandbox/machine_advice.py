"""What a machine's state means for its sandbox, and what to do about it: pure rules, one function per subject."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from securecc.model.finding import Finding

NAMESPACES = "user namespaces"
LANDLOCK = "Landlock"
GROUPS = "control groups"
LAYERS = "layers in force"

_WHOLE_LANDLOCK = 6  # the ABI that also confines signals and abstract sockets
_LACKING = (
    (3, "cutting files off"),
    (4, "TCP"),
    (5, "commands to devices"),
    (6, "signals and abstract sockets"),
)
_SYSCTL = "sysctl -w {0}; echo '{0}' >> /etc/sysctl.d/60-securecc.conf"


@dataclass(frozen=True, slots=True)
class Machine:
    """A kernel switch that does not exist is None. `container` is the kind of container this is in (empty: none),
    `modules` are the kernel's security modules (empty: unknown), `obstacle` is why an unprivileged user gets no
    namespaces (empty: nothing stops them).
    """

    unprivileged_userns_clone: int | None
    max_user_namespaces: int | None
    apparmor_restricts: int | None
    container: str
    modules: tuple[str, ...]
    obstacle: str


@dataclass(frozen=True, slots=True)
class CgroupPlacement:
    """Where a process is in the control groups: the mount point `mount` of version 2 (empty: not mounted), its `folder`
    below it, whether that is `delegated` to it, and the `controllers` that it could use.
    """

    mount: str = ""
    folder: str = ""
    delegated: bool = False
    controllers: frozenset[str] = frozenset()


def namespaces(machine: Machine) -> Finding:
    """Whether an unprivileged user can make namespaces, and what stops them."""
    if not machine.obstacle:
        if machine.apparmor_restricts:
            says = "the runner's user can make them, though AppArmor keeps them from programs without a profile"
            return Finding(NAMESPACES, "ok", says)
        return Finding(NAMESPACES, "ok", "an unprivileged user can make them")
    advice = [
        *([_SYSCTL.format("kernel.unprivileged_userns_clone=1")] if machine.unprivileged_userns_clone == 0 else []),
        *([_SYSCTL.format("user.max_user_namespaces=65536")] if machine.max_user_namespaces == 0 else []),
        *(
            [
                "AppArmor keeps them from programs without a profile: copy securecc's share/securecc/apparmor.d/"
                "securecc-runner to /etc/apparmor.d, load it (apparmor_parser -r) and start the runner by its unit; or "
                + _SYSCTL.format("kernel.apparmor_restrict_unprivileged_userns=0")
            ]
            if machine.apparmor_restricts
            else []
        ),
        *([_in_container(machine.container)] if machine.container else []),
    ]
    otherwise = "the kernel was built or booted without them (CONFIG_USER_NS), or a filter of system calls keeps them"
    return Finding(NAMESPACES, "bad", machine.obstacle, "; ".join(advice) or otherwise)


def _in_container(kind: str) -> str:
    allowed = {
        "docker": "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined",
        "podman": "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL",
    }
    return f"this is in a container ({kind}), which may keep them: {allowed.get(kind, 'allow it nested namespaces')}"


def landlock(abi: int, modules: Collection[str]) -> Finding:
    """What this kernel's Landlock can do."""
    if abi >= _WHOLE_LANDLOCK:
        return Finding(LANDLOCK, "ok", f"ABI {abi}: files, programs, TCP, signals")
    if abi:
        lacking = ", ".join(what for version, what in _LACKING if version > abi)
        says = f"ABI {abi}: files and programs; it says nothing of {lacking}"
        return Finding(LANDLOCK, "note", says, "Linux 6.12 or later has all of it; other layers bound these meanwhile")
    if modules and "landlock" not in modules:
        advice = f"add landlock to the kernel's command line: lsm=landlock,{','.join(modules)}"
        return Finding(LANDLOCK, "note", "the kernel was started without it, or does not have it", advice)
    return Finding(LANDLOCK, "note", "there is none, or a container's filter hides it", "Linux 5.13 and later has it")


def groups(place: CgroupPlacement, wanted: Iterable[str]) -> Finding:
    """Whether the resources of a whole job can be bounded. `wanted` are the controllers needed for that."""
    without = "limits hold for each process, and a look ten times a second for all of a job"
    if not place.mount:
        advice = "mount version 2 (systemd: systemd.unified_cgroup_hierarchy=1 on the kernel's command line)"
        return Finding(GROUPS, "note", f"no version 2 here; {without}", advice)
    lacking = [name for name in wanted if name not in place.controllers]
    if lacking:
        says = f"version 2 is at {place.mount} without {' '.join(lacking)} here; {without}"
        advice = (
            "these belong to version 1, or nobody hands them down to this directory: boot with "
            "systemd.unified_cgroup_hierarchy=1, or have the service manager delegate them (Delegate=cpu memory pids)"
        )
        return Finding(GROUPS, "note", says, advice)
    if not place.delegated:
        says = f"all controllers are there, but {place.folder} is not delegated to this process"
        advice = "a service with Delegate=yes has them (securecc-runner.service); or name a directory: sandbox.groups"
        return Finding(GROUPS, "note", says, advice)
    return Finding(GROUPS, "ok", f"{place.folder} is delegated, with {' '.join(sorted(place.controllers))}")


def layers(found: Collection[str], minimum: Iterable[str], *, by: str) -> Finding:
    """Whether the layers in force are enough. `by` says where they were seen."""
    lacking = sorted(set(minimum) - set(found))
    says = f"{by}: {' '.join(found)}"
    if lacking:
        advice = (
            f"sandbox.minimum asks for {' '.join(lacking)} as well: see the lines above, or lower it in config.yaml"
        )
        return Finding(LAYERS, "bad", says, advice)
    return Finding(LAYERS, "ok", says)
