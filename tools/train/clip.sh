#!/bin/sh
# Trains the CLIP of the default model, or goes on with it:
# tools/train/clip.sh PROGRAM PAIRS HELD_OUT TOKENIZER OUT
# PAIRS and HELD_OUT are folders with captions.jsonl, several separated by commas (see tools/data).
# OUT/first learns from all near misses; OUT/final, which begins with it, only from those that are learned
# late: shapes, counts, relations, sizes and garments. OUT/final/model is the result.
set -eu
program=$1 pairs=$2 held_out=$3 tokenizer=$4 out=$5
here=$(dirname "$0")
"$program" train clip --config "$here/clip.json" --data "$pairs" --held-out "$held_out" \
  --tokenizer "$tokenizer" --out "$out/first" --resume
exec "$program" train clip --config "$here/clip_final.json" --data "$pairs" --held-out "$held_out" \
  --tokenizer "$tokenizer" --init-from "$out/first/model" --out "$out/final" --resume
