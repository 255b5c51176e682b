"""Base images by their upstream names: pulled where a registry answers, else stand-ins made of Debian's packages.

A stand-in holds what our Dockerfiles use of the upstream image, from the same release of Debian, with one thing more:
pip finds packages the way that this machine does. Its archive is kept in a folder that git ignores, as environments
are, so that only the first run makes it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.containers.engine import Engine
from tests.containers.host_pip import CERTIFICATES
from tests.containers.memory import folder_in_memory
from tests.support.tools import tool

ROOT = Path(__file__).parents[2]
DOCKERFILES = {
    "gateway": ROOT / "gateway" / "Dockerfile",
    "triton": ROOT / "triton_server" / "Dockerfile",
    "models": ROOT / "model_repository" / "Dockerfile",
    "recorder": ROOT / "frontend" / "Dockerfile",
    "training": ROOT / "training" / "Dockerfile",
}
CACHE = ROOT / ".cache" / "containers"
PULLING_SECONDS = 300
_MAKING_SECONDS = 500
_MAKING_GIBIBYTES = 1
_RELEASE = "bookworm"
# Otherwise a package does at installation what this does, and keeps all of Perl for it.
_MERGED = ("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr", "--include=usr-is-merged")
_NO_DOCUMENTS = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale", "info")]


@dataclass(frozen=True)
class StandIn:
    """How the stand-in of an upstream image is made."""

    packages: tuple[str, ...]
    variant: str = "minbase"
    finish: str = "true"
    """A shell command; `$1` is the folder of the image."""
    settings: tuple[str, ...] = ()
    """Instructions of a Dockerfile."""


STAND_INS = {
    "python": StandIn(
        ("python3", "python3-venv", "python3-pip", "libpython3.11", "ca-certificates"),
        finish='ln -s python3 "$1/usr/bin/python" && rm "$1/usr/lib/python3.11/EXTERNALLY-MANAGED"',
    ),
    "nginx": StandIn(
        ("nginx", "gettext-base", "curl"),
        # What the upstream image's entry point does with templates: https://github.com/nginx/docker-nginx
        finish=r"""cat > "$1/docker-entrypoint.sh" <<'END'
#!/bin/sh
set -eu
if [ "${NGINX_ENTRYPOINT_LOCAL_RESOLVERS:-}" ]; then
    NGINX_LOCAL_RESOLVERS=$(awk '/^nameserver/ { printf "%s%s", separator, $2; separator = " " }' /etc/resolv.conf)
    export NGINX_LOCAL_RESOLVERS
fi
for template in /etc/nginx/templates/*.template; do
    name=${template##*/}
    known=$(env | sed 's/=.*//; s/^/$/' | tr '\n' ' ')
    envsubst "$known" < "$template" > "$NGINX_ENVSUBST_OUTPUT_DIR/${name%.template}"
done
exec "$@"
END
chmod +x "$1/docker-entrypoint.sh" """,
        settings=('ENTRYPOINT ["/docker-entrypoint.sh"]', "STOPSIGNAL SIGQUIT"),
    ),
    "busybox": StandIn(
        ("busybox-static",),
        variant="extract",
        finish='for name in $("$1/bin/busybox" --list); do [ -e "$1/bin/$name" ] || ln -s busybox "$1/bin/$name"; done',
        settings=('CMD ["sh"]',),
    ),
}


def bases_of(dockerfiles: Iterable[Path]) -> list[str]:
    """Names of the images that Dockerfiles start from."""
    found = {base for path in dockerfiles for base in re.findall(r"^FROM (\S+)", path.read_text(), re.MULTILINE)}
    return sorted(found)


def provide(engine: Engine, names: Iterable[str], pip_settings: str) -> dict[str, str]:
    """Make images of these names known to the engine.

    Args:
        engine: Where.
        names: With tags.
        pip_settings: `pip.conf` of stand-ins.

    Returns:
        Where each came from: "pulled" or "stand-in".
    """
    origins: dict[str, str] = {}
    missing = [name for name in names if not engine.has_image(name)]
    for name in missing:
        try:
            engine.docker("pull", "--quiet", name, timeout=PULLING_SECONDS)
        except (AssertionError, subprocess.TimeoutExpired):
            break
        origins[name] = "pulled"
    wanted = [name for name in missing if name not in origins]
    if wanted and not engine.is_private:
        pytest.skip(f"No registry has {wanted[0]}; stand-ins are made in a private engine only.")
    with ThreadPoolExecutor() as pool:
        archives = dict(zip(wanted, pool.map(_archive, wanted), strict=True))
    for name, archive in archives.items():
        _import(engine, name, archive, pip_settings)
        origins[name] = "stand-in"
    return origins


def _stand_in(name: str) -> StandIn:
    repository = name.partition(":")[0]
    if repository not in STAND_INS:
        pytest.skip(f"No registry answers, and there is no stand-in for {name}.")
    return STAND_INS[repository]


def _archive(name: str) -> Path:
    recipe = _stand_in(name)
    archive = CACHE / f"{name.partition(':')[0]}-{_fingerprint(recipe)}.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        # The name ends in .tar, which tells mmdebstrap what to write.
        unfinished = archive.with_name(f"unfinished-{archive.name}")
        command = [
            tool("mmdebstrap"),
            "--quiet",
            f"--variant={recipe.variant}",
            f"--include={','.join(recipe.packages)}",
            *(_MERGED if recipe.variant == "minbase" else ()),
            *_NO_DOCUMENTS,
            # What only extracts packages ends before hooks of the other kind run.
            f"--{'extract' if recipe.variant == 'extract' else 'customize'}-hook={recipe.finish}",
            _RELEASE,
            str(unfinished),
        ]
        with folder_in_memory(_MAKING_GIBIBYTES) as folder:
            subprocess.run(command, env=os.environ | {"TMPDIR": str(folder)}, check=True, timeout=_MAKING_SECONDS)
        unfinished.rename(archive)
    return archive


def _fingerprint(recipe: StandIn) -> str:
    return hashlib.sha256(repr((recipe, _RELEASE, _MERGED)).encode()).hexdigest()[:16]


def _import(engine: Engine, name: str, archive: Path, pip_settings: str) -> None:
    raw = f"stand-in-{name}"
    engine.docker("import", str(archive), raw)
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        (context / "pip.conf").write_text(pip_settings)
        shutil.copy(CERTIFICATES, context / "certificates")
        instructions = [
            f"FROM {raw}",
            "COPY pip.conf /etc/pip.conf",
            f"COPY certificates {CERTIFICATES}",
            *_stand_in(name).settings,
        ]
        (context / "Dockerfile").write_text("\n".join(instructions))
        engine.docker("build", "--tag", name, folder)
