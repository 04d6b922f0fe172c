"""What the state of a machine means for its sandbox: every way in which it can lack something, and the advice."""

from dataclasses import replace
from typing import Any

import pytest

from securecc.sandbox import machine_advice
from securecc.sandbox.machine_advice import CgroupPlacement, Machine

FINE = Machine(
    unprivileged_userns_clone=None,
    max_user_namespaces=96365,
    apparmor_restricts=None,
    container="",
    modules=("landlock", "yama", "apparmor"),
    obstacle="",
)
CONTROLLERS = ("memory", "pids", "cpu")


def test_namespaces_that_work() -> None:
    assert machine_advice.namespaces(FINE).state == "ok"
    restricted = machine_advice.namespaces(replace(FINE, apparmor_restricts=1))
    assert (restricted.state, restricted.advice) == ("ok", "")
    assert "AppArmor" in restricted.says


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"unprivileged_userns_clone": 0}, "sysctl -w kernel.unprivileged_userns_clone=1"),
        ({"max_user_namespaces": 0}, "sysctl -w user.max_user_namespaces=65536"),
        ({"apparmor_restricts": 1}, "apparmor_parser -r"),
        ({"container": "docker"}, "docker run --security-opt seccomp=unconfined"),
        ({"container": "podman"}, "podman run"),
        ({"container": "lxc"}, "allow it nested namespaces"),
        ({}, "CONFIG_USER_NS"),
    ],
)
def test_what_keeps_namespaces_away(changes: dict[str, Any], advice: str) -> None:
    found = machine_advice.namespaces(replace(FINE, obstacle="Operation not permitted", **changes))
    assert (found.state, found.says) == ("bad", "Operation not permitted")
    assert advice in found.advice
    if changes:
        assert "CONFIG_USER_NS" not in found.advice


def test_several_obstacles_are_all_named() -> None:
    several = replace(FINE, obstacle="no", unprivileged_userns_clone=0, max_user_namespaces=0)
    advice = machine_advice.namespaces(several).advice
    assert "unprivileged_userns_clone=1" in advice
    assert "max_user_namespaces=65536" in advice


@pytest.mark.parametrize(
    ("abi", "state", "lacking"),
    [
        (7, "ok", ""),
        (6, "ok", ""),
        (5, "note", "signals"),
        (2, "note", "cutting files off, TCP, commands"),
        (0, "note", ""),
    ],
)
def test_landlock_of_every_age(abi: int, state: str, lacking: str) -> None:
    found = machine_advice.landlock(abi, FINE.modules)
    assert found.state == state
    assert lacking in found.says
    assert bool(found.advice) == (state != "ok")


def test_landlock_that_was_left_out_at_boot() -> None:
    found = machine_advice.landlock(0, ("yama", "apparmor"))
    assert "lsm=landlock,yama,apparmor" in found.advice
    assert "5.13" in machine_advice.landlock(0, ()).advice


WHOLE = CgroupPlacement("/sys/fs/cgroup", "/sys/fs/cgroup/s", True, frozenset(CONTROLLERS))


@pytest.mark.parametrize(
    ("place", "state", "advice"),
    [
        (WHOLE, "ok", ""),
        (replace(WHOLE, delegated=False), "note", "Delegate=yes"),
        (replace(WHOLE, controllers=frozenset({"pids"})), "note", "unified_cgroup_hierarchy=1"),
        (CgroupPlacement(), "note", "mount version 2"),
    ],
)
def test_control_groups(place: CgroupPlacement, state: str, advice: str) -> None:
    found = machine_advice.groups(place, CONTROLLERS)
    assert found.state == state
    assert advice in found.advice


def test_lacking_controllers_are_named() -> None:
    found = machine_advice.groups(replace(WHOLE, controllers=frozenset({"pids"})), CONTROLLERS)
    assert "without memory cpu" in found.says


def test_layers_against_the_least() -> None:
    assert machine_advice.layers(("jail", "userns"), ("userns",), by="here").state == "ok"
    found = machine_advice.layers(("jail", "userns"), ("userns", "seccomp", "landlock"), by="here")
    assert found.state == "bad"
    assert "landlock seccomp" in found.advice
