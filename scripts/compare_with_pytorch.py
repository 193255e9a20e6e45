"""Times our score network beside the same network in PyTorch, in one run, on the same weights.

    cargo build -p trainer --bin bench
    python scripts/compare_with_pytorch.py [--prior data/priors/fruits64] [--threads 2] [--rounds 5]

and on an NVIDIA GPU

    cargo build -p trainer --bin bench --features cuda
    python scripts/compare_with_pytorch.py --device cuda

Rounds alternate the two sides, so that a busy moment of the machine hits both. For each kind of work the smallest and
the median time of each side are printed, the ratio ours / PyTorch (below 1: ours is faster), and images per second by the
medians. Both sides compute in f32; on a GPU PyTorch may choose its fastest convolutions, but not TF32. Needs torch and
safetensors from PyPI.

On the CPU also GFLOP/s by the medians, and as a share of the processor's peak, which a loop of multiply-adds measures.
What is counted are the multiplications and additions of the convolutions' definition, once for the score, twice with the
pullback, three times for a training step: Winograd's algorithm does fewer, so that a share may exceed 100 %. Then how a
DPS step's time grows with the image: score and pullback of our network with random weights; and how long it takes to read
the prior.

With KERNELS_SIMD=avx2 in the environment both sides use AVX2 alone, on a machine with AVX-512 too.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

# Our kernels may be held to AVX2 on a machine that has more: then PyTorch is as well. It reads these when it is loaded.
HELD_TO_AVX2 = os.environ.get("KERNELS_SIMD") == "avx2"
if HELD_TO_AVX2:
    os.environ |= {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}

import torch  # noqa: E402
import torch.nn as nn  # noqa: E402
import torch.nn.functional as F  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "shared/score_unet/tests/fixtures"))
from pytorch_twin import UNet  # noqa: E402


CASES = {
    "cpu": [("forward", 1, 20), ("pullback", 1, 20), ("forward", 16, 3), ("pullback", 16, 3), ("train", 16, 3), ("train", 32, 2)],
    "cuda": [("forward", 1, 20), ("pullback", 1, 20), ("pullback", 16, 10), ("pullback", 64, 5), ("train", 32, 10), ("train", 64, 5)],
}


def load(prior, device):
    from safetensors.torch import load_file

    net = UNet(json.loads((prior / "config.json").read_text()))
    net.load_state_dict({name: tensor.float() for name, tensor in load_file(prior / "weights.safetensors").items()})
    return net.to(device, memory_format=torch.channels_last)


def pytorch_work(net, work, batch, device):
    """A function that does the work once."""
    x = torch.randn(batch, 3, 64, 64, device=device).contiguous(memory_format=torch.channels_last)
    v = torch.randn_like(x)
    t = torch.full((batch,), 500, device=device)
    if work == "train":
        for p in net.parameters():
            p.requires_grad_(True)
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-6, betas=(0.9, 0.99))
        average = [p.detach().clone() for p in net.parameters()]

        def step():
            optimiser.zero_grad()
            F.mse_loss(net(x, t), v).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, [p.detach() for p in net.parameters()], 0.001)

        return step
    for p in net.parameters():
        p.requires_grad_(False)
    if work == "forward":

        def forward():
            with torch.no_grad():
                net(x, t)

        return forward

    def pullback():
        leaf = x.detach().requires_grad_(True)
        torch.autograd.grad(net(leaf, t), leaf, v)

    return pullback


def time_pytorch(step, repeats, device):
    times = []
    for index in range(repeats + 2):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if index >= 2:
            times.append(1e3 * (time.perf_counter() - start))
    return times


def time_ours(options, work, batch, repeats, more=()):
    command = [options.binary, "--prior", options.prior, "--work", work, "--batch", batch, "--repeats", repeats]
    command += ["--threads", options.threads, "--device", options.device, *more]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{options.binary} failed: {result.stderr.strip()}")
    return [float(line) for line in result.stdout.split()]


def gflop_of_score(net, device):
    """The convolutions' multiplications and additions for one image, each counted as one, in 10^9."""
    total = 0

    def count(conv, _, out):
        nonlocal total
        total += 2 * out.numel() * conv.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        net(torch.randn(1, 3, 64, 64, device=device), torch.full((1,), 500, device=device))
    for hook in hooks:
        hook.remove()
    return total / 1e9


def peak_gflops(options):
    """The processor's multiply-adds on all threads, and our instructions."""
    command = [options.binary, "--peak", "--threads", options.threads]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    rate, instructions = result.stdout.split()
    return float(rate), instructions


def print_growth(options):
    times = []
    for size in [32, 64, 128, 256]:
        repeats = max(1, 20 * 32 * 32 // (size * size))
        times.append(statistics.median(time_ours(options, "pullback", 1, repeats, ["--image-size", size])) / 1e3)
    print("seconds per DPS step for 32, 64, 128, 256 pixel images (random weights): " + ", ".join(f"{t:.4f}" for t in times))


def describe(device):
    if device.type == "cpu":
        return f"PyTorch {torch.__version__} on the CPU"
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return f"PyTorch {torch.__version__} with CUDA {torch.version.cuda} on {torch.cuda.get_device_name(device)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", type=pathlib.Path, default=ROOT / "data/priors/fruits64")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/debug/bench")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N, for both sides")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch sees no NVIDIA GPU: is the driver installed, and is this a torch built with CUDA?")
    net = load(options.prior, device)
    on_cpu = device.type == "cpu"
    print(f"{options.threads} threads, {describe(device)}, {options.rounds} alternating rounds, milliseconds")
    if on_cpu:
        gflop, (peak, instructions) = gflop_of_score(net, device), peak_gflops(options)
        print(f"our kernels use {instructions}, with a peak of {peak:.0f} GFLOP/s; a score is {gflop:.2f} GFLOP")
        if HELD_TO_AVX2:
            print("PyTorch is held to AVX2 too, because KERNELS_SIMD=avx2 is set")
    print(
        f"{'work':10}{'batch':>6}{'ours min':>10}{'median':>9}{'torch min':>11}{'median':>9}{'min ratio':>11}"
        f"{'median ratio':>14}{'ours images/s':>15}{'torch':>9}"
        + (f"{'ours GFLOP/s':>20}{'torch':>15}" if on_cpu else "")
    )
    for work, batch, repeats in CASES[device.type]:
        step, ours, theirs = pytorch_work(net, work, batch, device), [], []
        for _ in range(options.rounds):
            theirs += time_pytorch(step, repeats, device)
            ours += time_ours(options, work, batch, repeats)
        a, b = min(ours), min(theirs)
        c, d = statistics.median(ours), statistics.median(theirs)
        rates = ""
        if on_cpu:
            passes = {"forward": 1, "pullback": 2, "train": 3}[work]
            flop = 1e3 * gflop * batch * passes
            rates = "".join(
                f"{f'{flop / t:.0f} ({100 * flop / t / peak:.0f} %)':>{width}}" for t, width in [(c, 20), (d, 15)]
            )
        print(
            f"{work:10}{batch:6}{a:10.1f}{c:9.1f}{b:11.1f}{d:9.1f}{a / b:11.2f}{c / d:14.2f}"
            f"{1e3 * batch / c:15.1f}{1e3 * batch / d:9.1f}" + rates,
            flush=True,
        )
    if on_cpu:
        print_growth(options)
        seconds = statistics.median(time_ours(options, "load", 1, 5)) / 1e3
        print(f"seconds to read the prior from its folder: {seconds:.3f}")


if __name__ == "__main__":
    main()
