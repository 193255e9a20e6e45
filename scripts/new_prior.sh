#!/usr/bin/env bash
# Makes everything anew that depends on the weights in data/priors/fruits64, in the order in which one thing stands on
# another. All of it, or the parts that are named:
#
#   scripts/new_prior.sh --data fruits64.zip
#   scripts/new_prior.sh --data fruits64.zip figures notebooks
#
# images     data/images, drawn from the prior
# hidden     grader/hidden, the demonstration set of hidden images
# figures    tasks/*/figures
# tests      tasks/*/tests/images.json, the bands of the public tests
# bands      grader/thresholds.toml, and whether no right answer falls out of them
# notebooks  their outputs (notebooks/setup.py must have been run)
# tables     prints those of RESULTS.md; --data is the data set's zip file
# operators  prints the table of every method on every operator (with few images of tomography, which has no closed form)
# samplers   prints the table of samplers, and draws its figure
# calibration  prints how far what the methods draw is from the prior's posterior
#
# The last four keep what they have in out/, and go on from there. What stays by hand: the numbers in the prior's card,
# the handouts and RESULTS.md. Up to the tables an evening on two cores, the rest a night.
set -euo pipefail
cd "$(dirname "$0")/.."

PARTS="images hidden figures tests bands notebooks tables operators samplers calibration"
data=""
parts=()
while [ $# -gt 0 ]; do
    case "$1" in
    --data) data="$2"; shift 2 ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit ;;
    -*) echo "there is no flag $1: --data FILE, --help" >&2; exit 2 ;;
    *) parts+=("$1"); shift ;;
    esac
done
[ ${#parts[@]} -gt 0 ] || read -ra parts <<<"$PARTS"
for part in "${parts[@]}"; do
    [[ " $PARTS " == *" $part "* ]] || { echo "there is no part \`$part\`: $PARTS" >&2; exit 2; }
done
for part in tables operators samplers; do
    if [[ " ${parts[*]} " == *" $part "* && ! -e "$data" ]]; then
        echo "$part needs the data set: --data fruits64.zip" >&2
        exit 2
    fi
done

scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT

# Runs a task's program with the flags that follow, and takes its figures of these names; "a.png:b.png" is kept as b.png.
figures() { # TASK "NAMES" FLAGS...
    local task="$1" names="$2"
    shift 2
    cargo run -q --locked -p "$task" -- --out "$scratch/$task" "$@"
    for name in $names; do
        cp "$scratch/$task/${name%:*}" "tasks/$task/figures/${name#*:}"
    done
}

for part in "${parts[@]}"; do
    echo "== $part"
    case "$part" in
    images)
        cargo run -q --locked -p task3_generate -- --count 16 --batch 1 --seed 0 --save-each --out "$scratch/images"
        cp "$scratch"/images/sample-*.png data/images/
        ;;
    hidden) cargo run -q --locked -p grader -- hidden --demonstration --count 4 ;;
    figures)
        figures task2_denoise denoising.png:denoise.png --figure-image 10
        figures task3_generate "samples.png path.png" --count 16 --batch 1
        figures task4_sdedit edits.png --guide
        figures task4_sdedit reconstructions.png --count 1
        figures task5_score_ald "reconstructions.png residual-inpainting.png" --count 1
        figures task6_dps "reconstructions.png path-inpainting.png residual-inpainting.png" --count 1
        ;;
    tests)
        for task in tasks/task*/; do
            cargo test -q --locked -p "$(basename "$task")" --test images -- --ignored --nocapture
        done
        ;;
    bands)
        cargo run -q --locked -p grader -- calibrate
        cargo run -q --locked -p grader -- calibrate --check-fairness
        ;;
    notebooks) python3 notebooks/run.py --write ;;
    tables)
        cargo run -q --locked -p results -- --data "$data" --steps 250 --out out/tables
        cargo run -q --locked -p results -- --steps 250 --out out/tables-of-shipped-images
        ;;
    operators)
        cargo run -q --locked -p results -- --data "$data" --steps 100 --seeds 1 --out out/operators --operators \
            inpainting:0.7 box-inpainting deconvolution:13,1.5 motion-blur super-resolution colourisation \
            compressed-sensing fourier phase-retrieval hdr
        cargo run -q --locked -p results -- --data "$data" --steps 100 --seeds 1 --photographs 4 --out out/tomography \
            --operators tomography
        ;;
    samplers) cargo run -q --locked -p results -- samplers --data "$data" --out out/samplers ;;
    calibration) cargo run -q --locked -p results -- calibration --prior fruits64 --out out/calibration ;;
    esac
done
