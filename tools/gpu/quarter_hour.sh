#!/bin/sh
# A quarter of an hour on a machine with a GPU, in two calls from the root of the checkout (README.md beside this file):
#   tools/gpu/quarter_hour.sh main            checks, pictures, tokens, the race of the trainers, a training, samples
#   tools/gpu/quarter_hour.sh rest [SECONDS]  figures of decoding and training, sanitizers
# What it finds is under OUT, whole at every moment. Needs Python 3.11 with numpy, Pillow and scipy, and what pack.sh made.
set -eu
cd "$(dirname "$0")/../.."
exec python3 -u tools/gpu/quarter "$@"
