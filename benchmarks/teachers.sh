#!/usr/bin/env bash
# The teachers of docs/results/recipes.md and mobilebert.md: MiniLM-L6, fine-tuned for each task, seed 0.
#
#     benchmarks/teachers.sh DATA OUT
#
# DATA holds a folder for each task with its files as `edgedistill ls tasks` names them; OUT gets a folder for each
# teacher. nli is what RTE's teacher learns first, 29,481 pairs: MultiNLI's matched development set and SNLI's
# development and test sets, shuffled, in the layout of the task mnli. What is there already is kept. SST-2's teacher in
# the results was fine-tuned by another program from the same weights; this one stands in for it.
set -euo pipefail

data=${1:?"folder of the tasks' files"}
out=${2:?"folder for the teachers"}

# teacher NAME TASK START SETTINGS...: fine-tune START for TASK.
teacher() {
    local name=$1 task=$2 start=$3
    shift 3
    [ -e "$out/$name/student/edgedistill.json" ] && return
    edgedistill distill finetune --student "$start" --task "$task" --data "$data/$name" --out "$out/$name" "$@"
}

teacher sst2 sst2 minilm --set max_length=64
teacher trec trec minilm --set max_length=128
teacher clinc150 clinc150 minilm --set max_length=64 --set optim.lr=2e-4 --set optim.epochs=4
teacher mrpc mrpc minilm --set max_length=128 --set optim.epochs=4
teacher squad squad minilm --set max_length=256 --set optim.lr=1e-4 --limit 4000
teacher nli mnli minilm --set max_length=96 --set optim.epochs=1
teacher rte rte "$out/nli/student" --set max_length=128
