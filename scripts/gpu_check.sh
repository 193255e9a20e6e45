#!/usr/bin/env bash
# Checks the network on the NVIDIA GPU of this machine, by one command:
#
#   scripts/gpu_check.sh              # about ten minutes with the build; README.md says what it needs
#   scripts/gpu_check.sh --built      # with what scripts/gpu_bundle.sh has built elsewhere
#   scripts/gpu_check.sh --stand-in   # without a GPU: tries the script itself, on the stand-in for CUDA
#
# 1. every op, forwards and backwards, against the CPU
# 2. the trained network: scores, gradients and samples against the CPU, all numbers against PyTorch's
# 3. the tasks' programs: every PSNR of their reports against the CPU's
# 4. a GPU that is not there: a sentence, and exit code 2
# 5. the time of a score, of a score with its gradient and of a training step; beside PyTorch where Python has it
#
# Everything is built into target/gpu_check, and written there: logs, reports, figures. The last line says whether all
# is well, as the exit status does. A GPU's sums come in any order, so that figures differ a little from run to run.
set -uo pipefail
cd "$(dirname "$0")/.."

feature=cuda
tasks=(task2_denoise task3_generate task4_sdedit task5_score_ald task6_dps)
steps=(--steps 100)
repeats=10
build=yes
more=()
case "${1:-}" in
"") ;;
--built) # Where the libraries are that pip installs with PyTorch.
    build=no
    libraries=$(python3 -c 'import glob, site; print(":".join(sum((glob.glob(s + "/nvidia/*/lib") for s in site.getsitepackages()), [])))')
    export LD_LIBRARY_PATH="$libraries:/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}"
    ;;
--build-only) # For scripts/gpu_bundle.sh: and these programs too.
    build=only
    more=("${@:2}")
    ;;
--stand-in) # A score takes seconds there.
    feature=cuda-stand-in
    tasks=(task2_denoise)
    repeats=1
    ;;
*) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; [ "$1" = --help ]; exit $(($? * 2)) ;;
esac

target=target/gpu_check
out=$target/out
programs=$target/programs
mkdir -p "$out" "$programs"
failed=()

# Runs a command with its output in a log, and says how it went: `check NAME COMMAND...`.
check() {
    local name=$1
    shift
    if "$@" >"$out/$name.log" 2>&1; then
        echo "$name: well"
    else
        echo "$name: FAILED, see $out/$name.log; its end:"
        tail -n 5 "$out/$name.log" | sed 's/^/    /'
        failed+=("$name")
        return 1
    fi
}

if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv
fi

packages=(-p nn -p score_unet -p trainer -p cli)
features="nn/$feature,score_unet/$feature,trainer/$feature,cli/cuda"
for task in "${tasks[@]}"; do packages+=(-p "$task"); done
[ ${#more[@]} = 0 ] || packages+=(-p results)
with=(--locked --target-dir "$target" "${packages[@]}" --features "$features")

# Builds all of it into one folder: the programs, and the tests of nn and score_unet by their crates' names.
build() {
    cargo build "${with[@]}" --bins || return
    for program in bench "${tasks[@]}" "${more[@]}"; do cp "$target/debug/$program" "$programs/" || return; done
    cargo test "${with[@]}" --test all --no-run --message-format json >"$out/tests.json" || return
    python3 - "$out/tests.json" "$programs" <<'PYTHON'
import json, shutil, sys
for message in map(json.loads, open(sys.argv[1])):
    crate = message.get("target", {}).get("src_path", "").split("/tests/all/")[0].rsplit("/", 1)[-1]
    if message.get("executable") and crate in ("nn", "score_unet"):
        shutil.copy(message["executable"], f"{sys.argv[2]}/test_{crate}")
PYTHON
}
[ $build = no ] || check build build || exit 1
[ $build != only ] || exit 0

on_gpu=(--test-threads 1 --nocapture)
check ops "$programs/test_nn" "${on_gpu[@]}" backends
check network "$programs/test_score_unet" "${on_gpu[@]}" devices pytorch_parity
grep -hoE "[a-z ]+(at t = [0-9]+ )?on the GPU: off by [0-9.e-]+" "$out/network.log" | sed 's/^/    /'

# Compares the PSNR of two reports, row by row.
compare='
import json, sys
cpu, gpu = ([row["psnr"] for row in json.load(open(path))["rows"]] for path in sys.argv[1:])
both = [(a, b) for a, b in zip(cpu, gpu) if isinstance(a, float) and isinstance(b, float)]
worst = max((abs(a - b) for a, b in both), default=0)
print(f"the PSNR of {len(both)} results differs by at most {worst:.1e} dB")
sys.exit(len(cpu) != len(gpu) or worst > 0.1)'
for task in "${tasks[@]}"; do
    options=()
    [ "$task" = task2_denoise ] || options=("${steps[@]}")
    for device in cpu cuda; do
        check "${task}_$device" "$programs/$task" --device $device --out "$out/$task/$device" "${options[@]}" || continue 2
    done
    check "${task}_compared" python3 -c "$compare" "$out/$task/cpu/results.json" "$out/$task/cuda/results.json"
    sed 's/^/    /' "$out/${task}_compared.log"
done

# A GPU that is not there, which no machine has seven more of.
missing() {
    "$programs/task2_denoise" --device cuda:99 --out "$out/missing"
    [ $? = 2 ]
}
check missing_gpu missing
grep -h "^error" "$out/missing_gpu.log" | sed 's/^/    /'

# The median of the times that `bench` prints, in milliseconds: `median NAME OPTIONS...`.
median() {
    local name=$1
    shift
    check "$name" "$programs/bench" --device cuda --repeats $repeats "$@" || return
    sort -n "$out/$name.log" | sed -n "$(((repeats + 1) / 2))p" | sed 's/^/    median, ms: /'
}
median score_of_1 --work forward --batch 1
median gradient_of_1 --work pullback --batch 1
[ $feature = cuda-stand-in ] || {
    median gradient_of_64 --work pullback --batch 64
    median training_step_of_64 --work train --batch 64
}
if [ $feature = cuda ] && python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
    check beside_pytorch python3 scripts/compare_with_pytorch.py --device cuda --threads 8 --rounds 3 --binary "$programs/bench"
    sed 's/^/    /' "$out/beside_pytorch.log"
fi

if [ ${#failed[@]} = 0 ]; then
    echo "All is well."
else
    echo "Not well: ${failed[*]}."
    exit 1
fi
