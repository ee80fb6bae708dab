#!/bin/sh
# Trains the tokenizer and the transformer of the model that ships.
# usage: transformer.sh PICTURES DVAE OUT   (from the root of the checkout; PICTURES has a captions.jsonl)
set -eu
pictures=$1 dvae=$2 out=$3
dalle1=${DALLE1:-build/release/tools/dalle1}
# Threads that sleep while they wait lose little on an idle machine and much less on a busy one.
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$out"
[ -f "$out/text.model" ] || "$dalle1" train tokenizer --data "$pictures" --vocab 2048 --out "$out/text.model"
[ -d "$out/shards" ] || "$dalle1" shard --data "$pictures" --dvae "$dvae" --tokenizer "$out/text.model" --out "$out/shards"
"$dalle1" train transformer --config tools/train/transformer.json --data "$out/shards" \
  --tokenizer "$out/text.model" --out "$out/transformer" --resume
