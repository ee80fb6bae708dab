#!/bin/sh
# Trains the CLIP of the default model, or goes on with it:
# tools/train/clip.sh PROGRAM PAIRS HELD_OUT TOKENIZER OUT [DRAWN]
# PAIRS and HELD_OUT are folders with captions.jsonl, several separated by commas (see tools/data); DRAWN is what
# tools/train/drawn wrote. Each part begins with the one before:
#   OUT/first  learns from all near misses
#   OUT/final  only from those that are learned late: shapes, counts, relations, sizes and garments
#   OUT/drawn  also from pictures that the transformer drew, malformed ones above all
# The result is OUT/drawn/model, without DRAWN OUT/final/model.
set -eu
program=$1 pairs=$2 held_out=$3 tokenizer=$4 out=$5 drawn=${6:-}
here=$(dirname "$0")
train() {
  name=$1 config=$2
  shift 2
  "$program" train clip --config "$here/$config" --held-out "$held_out" --tokenizer "$tokenizer" --out "$out/$name" --resume "$@"
}
train first clip.json --data "$pairs"
train final clip_final.json --data "$pairs" --init-from "$out/first/model"
[ -z "$drawn" ] || train drawn clip_drawn.json --data "$pairs,$drawn/right" --drawn "$drawn/wrong" --init-from "$out/final/model"
