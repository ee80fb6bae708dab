#!/bin/sh
# Trains the dVAE of the default model, or goes on with it:
# tools/train/default/dvae.sh PROGRAM PICTURES HELD_OUT OUT [OPTION...]
# PICTURES and HELD_OUT are folders with captions.jsonl, several separated by commas (see tools/data). OPTIONs go to
# `dalle1 train dvae`: --max-minutes 9 trains in pieces.
set -eu
program=$1 pictures=$2 held_out=$3 out=$4
shift 4
exec "$program" train dvae --config "$(dirname "$0")/dvae.json" \
  --data "$pictures" --held-out "$held_out" --out "$out" --resume "$@"
