#!/bin/sh
# Trains the tokenizer and the transformer of the model that ships.
# usage: transformer.sh PICTURES DVAE OUT MINUTES   (from the root of the checkout; PICTURES has a captions.jsonl)
# The first part runs at a constant rate with 64 text slots for MINUTES; the second lets the rate fall to zero and uses
# all text slots, so the length of the first need not be known beforehand.
set -eu
pictures=$1 dvae=$2 out=$3 minutes=$4
dalle1=${DALLE1:-build/release/tools/dalle1}
# Threads that sleep while they wait lose little on an idle machine and much less on a busy one.
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$out"
[ -f "$out/text.model" ] || "$dalle1" train tokenizer --data "$pictures" --vocab 2048 --out "$out/text.model"
[ -d "$out/shards" ] || "$dalle1" shard --data "$pictures" --dvae "$dvae" --tokenizer "$out/text.model" --out "$out/shards"
train() {
  "$dalle1" train transformer --data "$out/shards" --tokenizer "$out/text.model" --resume "$@"
}
train --config tools/train/transformer.json --out "$out/transformer" --max-minutes "$minutes"
train --config tools/train/transformer_final.json --out "$out/transformer_final" --init-from "$out/transformer/model"
