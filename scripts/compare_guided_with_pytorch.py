"""Compares the network of ffhq_10m.pt with the guided-diffusion code itself, in full size and with random weights: the
output and the input gradient, the seconds of a score and of a score with its pullback, and the memory of either.

    git clone https://github.com/openai/guided-diffusion
    pip install torch numpy safetensors
    cargo build -p import -p trainer --bins --examples
    PYTHONPATH=guided-diffusion python scripts/compare_guided_with_pytorch.py [--threads 2] [--rounds 3]

Rounds alternate the two sides, each time in a process of its own; the least time of each and the largest memory are
printed. It takes 5 GB of memory, 1 GB of disk in the folder for temporary files, and some minutes.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
T = 500  # as the workspace counts; guided-diffusion counts from 0


def network():
    from guided_diffusion.script_util import create_model

    torch.manual_seed(0)
    return create_model(
        image_size=256, num_channels=128, num_res_blocks=1, learn_sigma=True, attention_resolutions="16",
        num_head_channels=64, use_scale_shift_norm=True, resblock_updown=True,
    ).eval()


def random_checkpoint(path):
    """Also where the layers of a fresh network are zero."""
    model = network()
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.detach().any():
            parameter.data = 0.5 * torch.randn_like(parameter) / parameter[0].numel() ** 0.5
    torch.save(model.state_dict(), path)


def load(path):
    model = network()
    model.load_state_dict(torch.load(path, mmap=True), assign=True)
    return model


def eps_and_gradient(model, x, v):
    x = x.clone().requires_grad_()
    eps = model(x, torch.full((x.shape[0],), T - 1))[:, :3]
    return eps.detach(), torch.autograd.grad((eps * v).sum(), x)[0]


def work_of_pytorch(path, work):
    """Prints seconds, after one run that does not count."""
    model = load(path)
    x, v = torch.randn(2, 1, 3, 256, 256)
    for index in range(3):
        start = time.perf_counter()
        if work == "forward":
            with torch.no_grad():
                model(x, torch.tensor([T - 1]))
        else:
            eps_and_gradient(model, x, v)
        if index > 0:
            print(time.perf_counter() - start)


def run(command):
    """Its output, and the largest memory that it had, in GB."""
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {command}")
    return output, usage.ru_maxrss * 1024 / 1e9


def compare(checkpoint, prior, folder):
    from safetensors.torch import load_file, save_file

    folder = pathlib.Path(folder)
    x, v = torch.randn(2, 1, 3, 256, 256)
    save_file({"x": x, "v": v}, folder / "in.safetensors")
    program = ROOT / "target/debug/examples/noise_and_gradient"
    run([program, prior, folder / "in.safetensors", folder / "out.safetensors", T])
    ours = load_file(folder / "out.safetensors")
    theirs = dict(zip(["eps", "gradient"], eps_and_gradient(load(checkpoint), x, v)))
    for name, expected in theirs.items():
        error = (ours[name] - expected).abs().max() / expected.abs().max()
        print(f"{name}: off by {error:.1e} of its largest value")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        torch.set_num_threads(options.threads)
        name, *arguments = options.part
        return {"checkpoint": random_checkpoint, "compare": compare, "pytorch": work_of_pytorch}[name](*arguments)
    # A process begins with the memory of the one that starts it, so that this one must stay small.
    part = lambda *arguments: [sys.executable, __file__, "--threads", options.threads, "--part", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        checkpoint, prior = folder / "random.pt", folder / "prior"
        run(part("checkpoint", checkpoint))
        run([ROOT / "target/debug/import", checkpoint, "--out", prior])
        print(run(part("compare", checkpoint, prior, folder))[0], end="")
        for work in ["forward", "pullback"]:
            sides = {
                "ours": [ROOT / "target/debug/bench", "--prior", prior, "--work", work, "--repeats", 2, "--threads", options.threads],
                "PyTorch": part("pytorch", checkpoint, work),
            }
            seconds, memory = {side: [] for side in sides}, dict.fromkeys(sides, 0.0)
            for _ in range(options.rounds):
                for side, command in sides.items():
                    output, peak = run(command)
                    scale = 1e-3 if side == "ours" else 1.0
                    seconds[side] += [scale * float(line) for line in output.split()]
                    memory[side] = max(memory[side], peak)
            least = {side: min(times) for side, times in seconds.items()}
            print(
                f"{work}: ours {least['ours']:.2f} s, PyTorch {least['PyTorch']:.2f} s, ratio "
                f"{least['ours'] / least['PyTorch']:.2f}; memory {memory['ours']:.2f} GB, {memory['PyTorch']:.2f} GB, ratio "
                f"{memory['ours'] / memory['PyTorch']:.2f}"
            )


if __name__ == "__main__":
    main()
