#!/bin/sh
# Trains the CLIP of the default model, or goes on with it:
# tools/train/default/clip.sh PROGRAM PAIRS HELD_OUT TOKENIZER OUT [DRAWN]
# PAIRS and HELD_OUT are folders with captions.jsonl, several separated by commas (see tools/data); DRAWN is what
# tools/train/default/drawn wrote. Each part begins with the one before:
#   OUT/first  learns from all near misses
#   OUT/final  only from those that are learned late: shapes, counts, relations, sizes and garments
#   OUT/drawn  also from pictures that the transformer drew, malformed ones above all, with more near misses of shapes
# The result is OUT/drawn/model, without DRAWN OUT/final/model. With PIECE in the environment a call stops after so many
# minutes; the same command goes on.
set -eu
program=$1 pairs=$2 held_out=$3 tokenizer=$4 out=$5 drawn=${6:-}
here=$(dirname "$0")
began=$(date +%s)
train() {
  part=$1 config=$2
  shift 2
  left=$((${PIECE:-1000000} * 60 - ($(date +%s) - began)))
  [ "$left" -gt 0 ] || left=1
  said=$("$program" train clip --config "$here/$config" --held-out "$held_out" --tokenizer "$tokenizer" --out "$out/$part" \
    --resume --json --max-minutes "$(awk "BEGIN { print $left / 60 }")" "$@")
  case $said in
    *'"finished":true'*) ;;
    *) echo "the piece is over; the same command goes on" >&2; exit 0 ;;
  esac
}
train first clip.json --data "$pairs"
train final clip_final.json --data "$pairs" --init-from "$out/first/model"
[ -z "$drawn" ] || train drawn clip_drawn.json --data "$pairs,$drawn/right" --drawn "$drawn/wrong" --init-from "$out/final/model"
