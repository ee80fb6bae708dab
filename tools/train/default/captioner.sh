#!/bin/sh
# Trains a captioner on the codes of a dVAE: tools/train/default/captioner.sh PICTURES DVAE TOKENIZER OUT [MINUTES]
# PICTURES has a captions.jsonl. Its shards go to OUT/shards, the run to OUT/run; the result is OUT/run/model. A call trains for
# MINUTES at most, or to the end; the same command goes on where it was.
set -eu
pictures=$1 dvae=$2 tokenizer=$3 out=$4 minutes=${5:-0}
dalle1=${DALLE1:-build/release/tools/dalle1}
here=$(dirname "$0")
export OMP_WAIT_POLICY=PASSIVE
mkdir -p "$out"
if [ ! -f "$out/shards.done" ]; then
  "$dalle1" shard --data "$pictures" --dvae "$dvae" --tokenizer "$tokenizer" --grid 32 --out "$out/shards" --resume
  : > "$out/shards.done"
fi
exec "$dalle1" train captioner --config "$here/captioner.json" --shards "$out/shards" --dvae "$dvae" --tokenizer "$tokenizer" \
  --out "$out/run" --resume --max-minutes "$minutes"
