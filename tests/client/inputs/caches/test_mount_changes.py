"""securecc.client.inputs.caches.mount_changes: after a mount, nothing that was remembered by path is trusted."""

from securecc.client.inputs.caches.mount_changes import MountChanges


class Cache:
    """Counts how often it is cleared."""

    cleared = 0

    def clear(self) -> None:
        self.cleared += 1


def test_a_mount_clears_all_caches_once() -> None:
    points: list[tuple[bytes, ...]] = [(), (b"/home/alice",), ()]
    caches = Cache(), Cache()
    told: list[tuple[bytes, ...]] = []
    changes = MountChanges(lambda: points.pop(0), *caches, forget=told.append)
    seen = []
    for _ in range(3):
        changes.apply()
        seen.append([cache.cleared for cache in caches])
    assert seen == [[0, 0], [1, 1], [1, 1]]
    assert told == [(b"/home/alice",)]
