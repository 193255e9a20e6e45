"""Runs six posterior methods of deepinv beside ours: same prior, same measurements, same settings.

    pip install deepinv safetensors
    python scripts/compare_with_deepinv.py [--images 4] [--repeats 4] [--steps 100] [--methods dps pigdm ...]

Our side (`methods/examples/deepinv_side.rs`, built by cargo in release) measures shipped images, reconstructs them, and
writes measurements and settings; the other side reads them and has deepinv reconstruct the same with the same network
in PyTorch. Printed are mean PSNRs in dB over images and
repeats, and their difference with its standard error: both sides draw numbers of their own.

deepinv 0.5 writes some of the methods in another way. Where its class has a parameter, or a method to override, it is
given what makes it do the same; each such place says so. Where it does something else (*), that is one line, and the
difference is undone in the next:

- Guidance (DPS, PiGDM). deepinv adds the guidance to the score, so that a step multiplies it by about its width; the
  papers' algorithms add it to the step. The weight of each time is chosen to make both the same.
- Score-ALD. deepinv's residual is that of x_t / sqrt(alpha_bar_t), the lecture's that of x_t.
- DDRM. deepinv divides the noise of each step by sqrt(2), as is right for the parts of complex coefficients (the blur)
  and too little for real ones (the mask). It takes singular values below the noise for zero.
- DiffPIR. deepinv's lambda is half of the paper's and is given twice as large; its times are others, and it clips x0_hat
  to [-1, 1].
"""

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
from functools import partial
from unittest import mock

import numpy as np
import torch

import deepinv
from deepinv.sampling import PosteriorDiffusion
from deepinv.sampling.diffusion_sde import EDMDiffusionSDE
from deepinv.sampling.noisy_datafidelity import (
    ALDDataFidelity,
    DPSDataFidelity,
    MomentMatchingDataFidelity,
    PiGDMDataFidelity,
)
from deepinv.sampling.sde_solver import DDPMSolver

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "shared/score_unet/tests/fixtures"))
from pytorch_twin import UNet  # noqa: E402

METHODS = ["score-ald", "dps", "moment-matching", "pigdm", "ddrm", "diffpir"]


class Twin(deepinv.models.Denoiser):
    """The prior as deepinv wants it: clean images, in [-1, 1], from images with noise of standard deviation sigma."""

    def __init__(self, prior):
        from safetensors.torch import load_file

        super().__init__()
        self.net = UNet(json.loads((prior / "config.json").read_text()))
        self.net.load_state_dict({n: p.float() for n, p in load_file(prior / "weights.safetensors").items()})
        self.net.requires_grad_(False)
        self.alpha_bar = self.net.alpha_bar.double()
        self.levels = ((1 - self.alpha_bar) / self.alpha_bar).sqrt()

    def forward(self, x, sigma, **_):
        sigma = torch.as_tensor(sigma).double().flatten()[0]
        t = int((self.levels.log() - sigma.log()).abs().argmin()) + 1
        alpha_bar = self.alpha_bar[t - 1].float()
        x_t = x * alpha_bar.sqrt()
        eps = self.net(x_t, torch.full((len(x),), t))
        return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


class Unit(deepinv.models.Denoiser):
    """The same for images in [0, 1], and noise on that scale."""

    def __init__(self, twin):
        super().__init__()
        self.twin = twin

    def forward(self, x, sigma, **_):
        return (self.twin(2 * x - 1, 2 * torch.as_tensor(sigma)) + 1) / 2


class Steps:
    """The times that our side stops at, as deepinv's time from 1 to 0."""

    def __init__(self, twin, times):
        self.levels = torch.cat([torch.zeros(1, dtype=torch.float64), twin.levels])
        self.times = [*times, 0]

    def sigma_t(self, t):
        return self.levels[(torch.as_tensor(t).double() * 1000).round().long()]

    def timesteps(self):
        return torch.tensor(self.times, dtype=torch.float64) / 1000

    def sde(self):
        # The slope of sigma is for other solvers.
        return EDMDiffusionSDE(sigma_t=self.sigma_t, sigma_prime_t=self.sigma_t, variance_preserving=True, alpha=1.0)

    def width(self, sigma):
        """What deepinv's step multiplies a score by at this noise level, the scale before it, and alpha_bar there."""
        index = int((self.levels[self.times[:-1]] - float(sigma)).abs().argmin())
        now, after = (1 / (1 + self.levels[self.times[k]] ** 2) for k in (index, index + 1))
        return float((now * after).sqrt() * (1 / now - 1 / after)), float(now.sqrt()), float(now)


def weighed(kind, weight_at):
    """A data fidelity of deepinv whose weight depends on the time."""

    class Weighed(kind):
        def grad(self, x, y, physics, sigma, *args, **kwargs):
            self.weight = weight_at(sigma)
            return super().grad(x, y, physics, sigma, *args, **kwargs)

    return Weighed


class LectureALD(ALDDataFidelity):
    """Score-ALD with the residual of x_t: deepinv hands over x_t / sqrt(alpha_bar_t), and divides the result so."""

    def grad(self, x, y, physics, sigma, *args, **kwargs):
        scale = 1 / torch.as_tensor(1 + sigma**2).sqrt()
        return super().grad(x * scale, y, physics, sigma, *args, **kwargs) * scale


def posterior(data_fidelity, twin, steps, physics, b):
    solver = DDPMSolver(timesteps=steps.timesteps())
    model = PosteriorDiffusion(data_fidelity, denoiser=twin, sde=steps.sde(), solver=solver, minus_one_one=False)
    return model(b, physics, x_init=tuple(b.shape), denoise_output=False)


def score_ald(kind, twin, steps, physics, b, settings):
    gamma = lambda sigma: (settings["ald_lambda"] * sigma**2 / (1 + sigma**2)) ** 0.5
    return posterior(kind(gamma=gamma), twin, steps, physics, b)


def dps(twin, steps, physics, b, settings):
    weight = lambda sigma: settings["dps_zeta"] / steps.width(sigma)[0]
    return posterior(weighed(DPSDataFidelity, weight)(), twin, steps, physics, b)


def pigdm(twin, steps, physics, b, settings):
    def weight(sigma):
        width, scale, alpha_bar = steps.width(sigma)
        return (1 - alpha_bar) * scale / width

    kind = weighed(PiGDMDataFidelity, weight)
    return posterior(kind(cg_max_iter=50), twin, steps, physics, b)


def moment_matching(twin, steps, physics, b, settings):
    return posterior(MomentMatchingDataFidelity(cg_max_iter=1), twin, steps, physics, b)


def ddrm(noise, twin, steps, physics, b, settings):
    levels = [float(steps.levels[t]) for t in steps.times[:-1]]
    model = deepinv.sampling.DDRM(twin, sigmas=levels, eta=settings["ddrm_eta"], etab=settings["ddrm_eta_b"])
    whole = lambda like: torch.randn_like(like) * noise
    # Nothing but the factor of the noise is changed.
    with mock.patch.object(deepinv.sampling.diffusion, "torch", Patched(torch, randn_like=whole)):
        return model(b, physics)


class Patched:
    """A module with some of its functions replaced."""

    def __init__(self, module, **functions):
        self.__dict__.update(functions, module=module)

    def __getattr__(self, name):
        return getattr(self.module, name)


def diffpir(times, clipped, twin, steps, physics, b, settings):
    """With deepinv's own times, or with ours; with x0_hat clipped to [-1, 1], as deepinv does, or not."""
    physics.update(noise_model=deepinv.physics.GaussianNoise(physics.noise_model.sigma / 2))
    ones = physics.A(torch.ones_like(b))
    model = deepinv.sampling.DiffPIR(
        Unit(twin),
        deepinv.optim.data_fidelity.L2(),
        sigma=physics.noise_model.sigma,
        max_iter=len(steps.times) - 1,
        # In [0, 1] the variance is a quarter, and deepinv's proximal map weighs the image twice as much.
        lambda_=2 * settings["diffpir_lambda"],
        zeta=settings["diffpir_zeta"],
    )
    if times == "ours":
        plan = model.get_noise_schedule
        # Numbered from T down; at the last one, t = 1, it stops.
        places = torch.tensor([1000 - t for t in steps.times[:-1]] + [999])
        model.get_noise_schedule = lambda sigma: (*plan(sigma)[:2], places)
    with contextlib.nullcontext() if clipped else mock.patch.object(torch.Tensor, "clamp", lambda x, *_: x):
        return 2 * model((b + ones) / 2, physics) - 1


def physics_of(name, probe, sigma):
    noise = deepinv.physics.GaussianNoise(sigma)
    shape = tuple(probe.shape[1:])
    if name == "inpainting":
        return deepinv.physics.Inpainting(img_size=shape, mask=probe, noise_model=noise)
    # The answer to a point in the corner, moved to the middle of a 13x13 window.
    kernel = torch.roll(probe, (6, 6), (2, 3))[:, :1, :13, :13]
    return deepinv.physics.BlurFFT(img_size=shape, filter=kernel, noise_model=noise)


def psnrs(found, truth):
    truth = truth.repeat(len(found) // len(truth), 1, 1, 1)
    errors = ((found.clamp(-1, 1) - truth) / 2).pow(2).mean(dim=(1, 2, 3))
    return -10 * errors.double().log10()


def runs(method, problem):
    """What is run for a method: a remark, and the function."""
    if (method, problem) == ("ddrm", "deconvolution"):
        return [("", lambda *rest: ddrm(1.0, *rest))]
    return {
        "score-ald": [
            ("as deepinv has it (*)", partial(score_ald, ALDDataFidelity)),
            ("residual of x_t", partial(score_ald, LectureALD)),
        ],
        "dps": [("", dps)],
        "moment-matching": [("", moment_matching)],
        "pigdm": [("", pigdm)],
        "ddrm": [("as deepinv has it (*)", partial(ddrm, 1.0)), ("noise times sqrt(2)", partial(ddrm, 2.0**0.5))],
        "diffpir": [
            ("as deepinv has it (*)", partial(diffpir, "theirs", True)),
            ("our times (*)", partial(diffpir, "ours", True)),
            ("our times, no clipping", partial(diffpir, "ours", False)),
        ],
    }[method]


def our_side(options, folder):
    command = ["cargo", "run", "--release", "-p", "methods", "--example", "deepinv_side", "--"]
    command += [options.prior, "data/images", *map(str, (options.images, options.repeats, options.steps)), str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prior", default="data/priors/fruits64")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--keep", type=pathlib.Path, help="our side's files go here, and are not made again")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.keep or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (folder / "ours.json").exists():
            our_side(options, folder.resolve())
        compare(options, folder)


def compare(options, folder):
    array = lambda name: torch.from_numpy(np.load(folder / f"{name}.npy"))
    ours = json.loads((folder / "ours.json").read_text())
    twin = Twin(ROOT / options.prior)
    steps = Steps(twin, ours["times"])
    truth = array("truth")
    print("problem        method            ours  deepinv  difference")
    for problem in ("inpainting", "deconvolution"):
        b = array(problem).repeat(options.repeats, 1, 1, 1)
        for method in options.methods:
            for remark, run in runs(method, problem):
                torch.manual_seed(0)
                physics = physics_of(problem, array(f"{problem}-probe"), ours["sigma"])
                found = run(twin, steps, physics, b, ours[problem]).float()
                our = torch.tensor(ours[problem]["psnr"][method], dtype=torch.float64)
                their = psnrs(found, truth)
                difference = our - their
                error = float(difference.std()) / len(difference) ** 0.5
                numbers = f"{our.mean():6.2f}   {their.mean():6.2f}     {difference.mean():+6.2f} +- {error:4.2f}"
                print(f"{problem:14} {method:15} {numbers}  {remark}", flush=True)


if __name__ == "__main__":
    main()
