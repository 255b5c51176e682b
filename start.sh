#!/bin/sh
# Starts everything in containers and opens the page. USE_GPU=1 uses NVIDIA's Triton, EMO_MOCK=1 returns made-up numbers
# without a model, and CHECKPOINT_PATH=FILE exports a checkpoint first. Arguments are passed on to `docker compose up`.
set -eu
cd "$(dirname "$0")"

files="--file docker-compose.yml"
if [ "${USE_GPU:-0}" = 1 ]; then
	files="$files --file docker-compose.gpu.yml"
fi

if [ -n "${CHECKPOINT_PATH:-}" ]; then
	# Compose would read a name without a slash as a volume.
	case "$CHECKPOINT_PATH" in /* | ./* | ../*) ;; *) CHECKPOINT_PATH="./$CHECKPOINT_PATH" ;; esac
	export CHECKPOINT_PATH
	if [ ! -f "$CHECKPOINT_PATH" ]; then
		echo "Checkpoint '$CHECKPOINT_PATH' not found." >&2
		exit 1
	fi
	# shellcheck disable=SC2086
	docker compose $files run --rm --build --user "$(id -u):$(id -g)" export
fi

if [ "${EMO_MOCK:-0}" = 1 ]; then
	# shellcheck disable=SC2086
	docker compose $files up --build --detach --wait --no-deps "$@" gateway recorder
else
	# shellcheck disable=SC2086
	docker compose $files up --build --detach --wait "$@"
fi

# shellcheck disable=SC2086
page=http://$(docker compose $files port recorder 8080)
echo "Open $page in a browser; 'docker compose down' stops everything."
for open in xdg-open open; do
	if command -v "$open" >/dev/null; then
		"$open" "$page" >/dev/null 2>&1 || true
		break
	fi
done
