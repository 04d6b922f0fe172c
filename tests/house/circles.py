"""Circles in a graph of who needs whom."""

from collections.abc import Iterable, Mapping


def circles(graph: Mapping[str, Iterable[str]]) -> set[frozenset[str]]:
    """The strongly connected components of more than one node (Tarjan)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: set[frozenset[str]] = set()

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        path.append(node)
        for other in graph[node]:
            if other not in order:
                visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in path:
                lowest[node] = min(lowest[node], order[other])
        if lowest[node] == order[node]:
            component = frozenset(path[path.index(node) :])
            del path[path.index(node) :]
            if len(component) > 1:
                found.add(component)

    for node in graph:
        if node not in order:
            visit(node)
    return found
