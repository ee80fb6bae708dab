#!/bin/sh
# Trains the tokenizer and the transformer of the model that ships.
# usage: transformer.sh PICTURES DVAE OUT MINUTES   (from the root of the checkout; PICTURES has a captions.jsonl)
# Three parts, each beginning with the parameters of the one before; run again, the script goes on where it was.
#   coarse  16x16 grids of pictures at half the size: a sample costs a quarter, and colours, counts and relations are
#           learned here; half of MINUTES
#   fine    32x32 grids, 64 text slots, constant rate; half of MINUTES
#   final   all 256 text slots while the rate falls to zero; a fixed number of steps
# The first two run at a constant rate, so how long they last need not be known beforehand.
set -eu
pictures=$1 dvae=$2 out=$3 minutes=$4
dalle1=${DALLE1:-build/release/tools/dalle1}
# Threads that sleep while they wait lose little on an idle machine and much less on a busy one.
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$out"
[ -f "$out/text.model" ] || "$dalle1" train tokenizer --data "$pictures" --vocab 2048 --out "$out/text.model"
shard() {
  [ -d "$out/shards_$1" ] || "$dalle1" shard --data "$pictures" --dvae "$dvae" --tokenizer "$out/text.model" \
    --grid "$1" --out "$out/shards_$1"
}
train() {
  config=$1 grid=$2
  shift 2
  "$dalle1" train transformer --config "tools/train/$config.json" --data "$out/shards_$grid" \
    --tokenizer "$out/text.model" --out "$out/$config" --resume "$@"
}
shard 16
train transformer_coarse 16 --max-minutes "$((minutes / 2))"
shard 32
train transformer 32 --max-minutes "$((minutes / 2))" --init-from "$out/transformer_coarse/model"
train transformer_final 32 --init-from "$out/transformer/model"
