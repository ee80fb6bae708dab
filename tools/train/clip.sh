#!/bin/sh
# Trains the CLIP of the default model, or goes on with it:
# tools/train/clip.sh PROGRAM PAIRS HELD_OUT TOKENIZER OUT
# PAIRS and HELD_OUT are folders with captions.jsonl, several separated by commas (see tools/data).
set -eu
program=$1 pairs=$2 held_out=$3 tokenizer=$4 out=$5
exec "$program" train clip --config "$(dirname "$0")/clip.json" \
  --data "$pairs" --held-out "$held_out" --tokenizer "$tokenizer" --out "$out" --resume
