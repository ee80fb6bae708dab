#!/bin/sh
# Trains the tokenizer and the transformer of the model that ships.
# usage: transformer.sh PICTURES DVAE OUT MINUTES [PIECE]   (from the root of the checkout; PICTURES has a captions.jsonl)
# Three parts, each beginning with the parameters of the one before:
#   coarse  16x16 grids of pictures at half the size: a sample costs a quarter, and colours, counts and relations are
#           learned here; half of MINUTES
#   fine    32x32 grids, few text slots, constant rate; half of MINUTES
#   final   all 256 text slots while the rate falls to zero; a fixed number of steps, over and above MINUTES
# The first two run at a constant rate, so how long they last need not be known beforehand. A call trains for PIECE minutes
# at most, or to the end; the same command goes on where it was. To train a finished model longer, begin another OUT with
# the configurations and --init-from.
set -eu
pictures=$1 dvae=$2 out=$3 minutes=$4 piece=${5:-1000000}
dalle1=${DALLE1:-build/release/tools/dalle1}
began=$(date +%s)
# Threads that sleep while they wait lose little on an idle machine and much less on a busy one.
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$out"
[ -f "$out/text.model" ] || "$dalle1" train tokenizer --data "$pictures" --vocab 2048 --out "$out/text.model"

shard() {
  [ -f "$out/shards_$1.done" ] || "$dalle1" shard --data "$pictures" --dvae "$dvae" --tokenizer "$out/text.model" \
    --grid "$1" --out "$out/shards_$1" --resume
  : > "$out/shards_$1.done"
}

# PART GRID BUDGET [OPTION...]: trains for what is left of the budget in seconds (0: all its steps), or of the piece.
train() {
  part=$1 grid=$2 budget=$3
  shift 3
  [ ! -f "$out/$part.done" ] || return 0
  spent=$(cat "$out/$part.spent" 2>/dev/null || echo 0)
  now=$(date +%s) done=no
  left=$((piece * 60 - (now - began)))
  if [ "$budget" -gt 0 ] && [ $((budget - spent)) -lt "$left" ]; then left=$((budget - spent)); fi
  if [ "$left" -gt 0 ]; then
    said=$("$dalle1" train transformer --config "tools/train/default/$part.json" --data "$out/shards_$grid" --json \
      --tokenizer "$out/text.model" --out "$out/$part" --resume --max-minutes "$(awk "BEGIN { print $left / 60 }")" "$@")
    spent=$((spent + $(date +%s) - now))
    echo "$spent" > "$out/$part.spent"
    case $said in *'"finished":true'*) done=yes ;; esac
  fi
  if [ "$budget" -gt 0 ] && [ "$spent" -ge "$budget" ]; then done=yes; fi
  if [ "$done" = no ]; then
    echo "the piece is over; the same command goes on" >&2
    exit 0
  fi
  : > "$out/$part.done"
}

shard 16
train transformer_coarse 16 "$((minutes * 30))"
shard 32
train transformer 32 "$((minutes * 30))" --init-from "$out/transformer_coarse/model"
train transformer_final 32 0 --init-from "$out/transformer/model"
