#!/usr/bin/env python3
"""Compares the objects that two builds of one project produced."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path


def objects(tree: Path) -> dict[str, str]:
    """Every object below `tree` and the digest of its bytes."""
    found = sorted(path for path in tree.rglob("*.o") if path.is_file())
    return {str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Objects that differ between the two, or are missing from one."""
    return tuple(sorted(name for name in {*one, *other} if one.get(name) != other.get(name)))
