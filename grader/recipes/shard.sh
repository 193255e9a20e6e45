#!/usr/bin/env bash
# Grades one part of a class on one of several machines. Which part, and of how many, comes from the scheduler:
#
#   Slurm array            SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT, the first of them SLURM_ARRAY_TASK_MIN
#   Kubernetes indexed Job JOB_COMPLETION_INDEX, from 0, and COMPLETIONS, which the manifest sets
#   CI matrix              SHARD and SHARDS
#
#   shard.sh CLASS OUT [FLAGS OF grader batch...]
#
# CLASS, the tree with the secret and the hidden images (grader/hidden), and OUT lie where all machines see them. Each
# part goes to OUT/part-I; a part that was killed goes on where it stopped when it is started again. At the end:
#
#   grader merge OUT/part-* --out OUT/all
set -euo pipefail
[ $# -ge 2 ] || { echo "expected: shard.sh CLASS OUT [FLAGS]" >&2; exit 2; }
class="$1" out="$2"
shift 2
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    part=$((SLURM_ARRAY_TASK_ID - ${SLURM_ARRAY_TASK_MIN:-1} + 1)) parts="$SLURM_ARRAY_TASK_COUNT"
elif [ -n "${JOB_COMPLETION_INDEX:-}" ]; then
    part=$((JOB_COMPLETION_INDEX + 1)) parts="$COMPLETIONS"
elif [ -n "${SHARD:-}" ]; then
    part="$SHARD" parts="$SHARDS"
else
    echo "no scheduler has set which part this is: see the head of this file" >&2
    exit 2
fi
mkdir -p "$out"
exec "${GRADER:-grader}" batch "$class" --out "$out/part-$part" --shard "$part/$parts" "$@"
