"""What an overlay makes of the base, line by line, so that a review sees what a change of either does to clusters.

`python -m tests.k8s.changes` writes the files that a test compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.k8s.rendering import OVERLAYS, Manifest, rendered

FOLDER = Path(__file__).with_name("changes")
# A ConfigMap's name ends in a hash of its content, which differs with every setting and says nothing more.
_HASH = re.compile(r"(-settings-|-configuration-)[a-z0-9]{10}")


def changes(overlay: str) -> str:
    """One line for each value that an overlay adds (+), removes (-) or, in two lines, replaces."""
    base, over = _values(rendered("../base")), _values(rendered(overlay))
    lines = []
    for path in sorted(base.keys() | over.keys()):
        if base.get(path) != over.get(path):
            lines += [f"- {path}: {base[path]}"] if path in base else []
            lines += [f"+ {path}: {over[path]}"] if path in over else []
    return "\n".join([*lines, ""])


def _values(manifests: list[Manifest]) -> dict[str, str]:
    values: dict[str, str] = {}
    for manifest in manifests:
        # Word for word what monitoring/rules.yml says.
        if manifest["kind"] == "PrometheusRule":
            continue
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        for path, value in _leaves(manifest, name):
            # Export's own tests compare what it writes.
            written = "written by python -m export" if path.endswith(".pbtxt") else value
            values[_HASH.sub(r"\1HASH", path)] = _HASH.sub(r"\1HASH", written)
    return values


def _leaves(node: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{path} {key}")
    elif isinstance(node, list) and node:
        for index, value in enumerate(node):
            key = value.get("name", index) if isinstance(value, dict) else index
            yield from _leaves(value, f"{path} [{key}]")
    else:
        yield path, repr(node)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in OVERLAYS:
        (FOLDER / f"{name}.txt").write_text(changes(name))
