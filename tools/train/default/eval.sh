#!/bin/sh
# Measures a model and writes the tables of its card: tools/train/default/eval.sh DATA SHARDS OUT MINUTES [OPTION...]
# DATA was made by tools/data/make_dataset; SHARDS are the tokens that the transformer was trained on. Drawing stops after
# MINUTES, with what there is by then (kinds take turns); measuring the models alone takes about a minute more on two
# cores. The same command goes on with the rest. OPTIONs go to `dalle1 eval`: --model DIR, --pictures-limit N, ...
# From the environment: KINDS, CANDIDATES (16), LIMIT (prompts a kind, 200). Drawn as the model advises, or as OPTIONs say.
# Writes OUT/report.md, report.json, reranking.svg, memory.png, memory_colours.png and the best picture of each prompt.
set -eu
data=$1 shards=$2 out=$3 minutes=$4
shift 4
here=$(dirname "$0")
export OMP_WAIT_POLICY=PASSIVE
exec "${DALLE1:-build/release/tools/dalle1}" eval --prompts "$data/prompts_test.jsonl" --checker "$here/../../data/check" \
  --pictures "$data/val" --near-misses "$here/clip.json" --training "$shards" \
  --kinds "${KINDS:-shape,relation,count,landscape}" --limit "${LIMIT:-200}" --candidates "${CANDIDATES:-16}" \
  --max-minutes "$minutes" --out "$out" --resume "$@"
