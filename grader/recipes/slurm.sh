#!/usr/bin/env bash
#SBATCH --job-name=grader
#SBATCH --array=1-8
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=02:00:00
# sbatch grader/recipes/slurm.sh CLASS OUT, in the tree; the grader is built once before: cargo build --locked -p grader
GRADER="$PWD/target/debug/grader" exec bash "$PWD/grader/recipes/shard.sh" "$@" --jobs 2
