#!/usr/bin/env bash
# Fetches OpenAI's JavaScript client into FOLDER with npm: the last major version that runs on Debian 12's Node.js 18.
#   tests/serve/fetch_openai_js.sh FOLDER && DALLE1_OPENAI_JS=FOLDER ctest -R serve
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,3s/^# \?//p' "$0" >&2; exit 2; }
npm install --prefix "$1" --no-save --ignore-scripts --no-audit --no-fund --silent openai@5.23.2
test -e "$1/node_modules/openai/package.json"
