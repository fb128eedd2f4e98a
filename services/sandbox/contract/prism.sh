#!/bin/sh
# Holds the sandbox against the vendors' OpenAPI files with Prism, which is not our code.
# Needs Go, Node 18 or later and npm. PRISM=path uses an installed Prism instead of installing one.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

prism=${PRISM:-}
if [ -z "$prism" ]; then
	command -v npm >/dev/null || { echo "prism.sh: npm is missing; install Node 18 or later, or set PRISM" >&2; exit 2; }
	echo "prism.sh: installing Prism 5.14.2"
	npm install --prefix "$work" --no-audit --no-fund --loglevel=error @stoplight/prism-cli@5.14.2
	prism=$work/node_modules/.bin/prism
fi
mkdir "$work/specs"
cd "$here"
go build -o "$work/prismcheck" ./prismcheck
"$work/prismcheck" -prism "$prism" -dir "$work/specs"
