"""Makes shared/import/tests/fixtures/*.safetensors: what small networks of guided-diffusion and of diffusers compute.

    git clone https://github.com/openai/guided-diffusion
    pip install torch numpy safetensors diffusers
    PYTHONPATH=guided-diffusion python scripts/import_fixtures.py

Weights are not in the files: they follow from a formula, which shared/import/tests/all/parity.rs has as well. Of each
parameter's gradient there are its norm and at most 97 of its values.
"""

import json
import pathlib
import zlib

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DModel
from guided_diffusion.unet import UNetModel
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).parent.parent / "shared/import/tests/fixtures"
SAMPLED = 97
TIMES = [4, 781]  # counted from 1, as the workspace does


def pseudo_random(seed, count):
    """Numbers in [-1, 1) that another program can make as well."""
    index = np.arange(1, count + 1, dtype=np.float64)
    hashed = np.sin(index * 12.9898 + seed * 78.233) * 43758.5453
    return 2 * (hashed - np.floor(hashed)) - 1


def values(name, shape):
    seed = zlib.crc32(name.encode()) % 1000
    numbers = pseudo_random(seed, int(np.prod(shape)))
    if len(shape) > 1:
        numbers *= 1.5 / np.sqrt(np.prod(shape[1:]))
    elif name.endswith("weight"):
        numbers = 1 + 0.3 * numbers
    else:
        numbers *= 0.2
    return torch.tensor(numbers.astype(np.float32).reshape(shape))


def images(seed, shape):
    numbers = pseudo_random(seed, int(np.prod(shape)))
    return torch.tensor(numbers.astype(np.float32).reshape(shape))


def write(name, network, run, about, image_size, image_channels):
    network.eval()
    for key, parameter in network.named_parameters():
        parameter.data = values(key, list(parameter.shape))
    shape = [len(TIMES), image_channels, image_size, image_size]
    x, cotangent = images(1000, shape).requires_grad_(), images(1001, shape)
    output = run(x, torch.tensor([t - 1 for t in TIMES]))[:, :image_channels]
    (output * cotangent).sum().backward()
    tensors = {"output": output.detach().contiguous(), "gradient_x": x.grad}
    for key, parameter in network.named_parameters():
        gradient = parameter.grad.flatten()
        stride = max(1, len(gradient) // SAMPLED)
        tensors[f"gradient.{key}"] = gradient[::stride][:SAMPLED].clone()
        tensors[f"norm.{key}"] = parameter.grad.norm().reshape(1)
    about["shapes"] = {key: list(parameter.shape) for key, parameter in network.named_parameters()}
    about["times"] = TIMES
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_file(tensors, FOLDER / f"{name}.safetensors", {"about": json.dumps(about)})
    print(name, sum(p.numel() for p in network.parameters()), "parameters")


def guided(name, flags, **sizes):
    """`flags` are what `import` is told."""
    network = UNetModel(in_channels=3, dropout=0.0, **sizes)
    write(name, network, network, {"flags": flags}, sizes["image_size"], 3)


def diffusers(name, schedule, **sizes):
    network = UNet2DModel(**sizes)
    scheduler = DDPMScheduler(**schedule)
    about = {
        "config.json": network.to_json_string(),
        "scheduler_config.json": scheduler.to_json_string(),
        "alphas_cumprod": [scheduler.alphas_cumprod[t - 1].item() for t in TIMES],
    }
    run = lambda x, t: network(x, t).sample
    write(name, network, run, about, sizes["sample_size"], 3)


# As ffhq_10m.pt, but small.
guided(
    "guided_blocks", {"image_size": 16, "head_channels": 16, "attention_order": "old"},
    image_size=16, model_channels=32, out_channels=6, num_res_blocks=1, attention_resolutions=(2,),
    channel_mult=(1, 2), num_head_channels=16, use_scale_shift_norm=True, resblock_updown=True,
)
# Two channels to a group of its norms: where there is one, a number added to each channel changes nothing.
guided(
    "guided_convolutions", {"image_size": 8, "heads": 4, "attention_order": "new"},
    image_size=8, model_channels=64, out_channels=3, num_res_blocks=2, attention_resolutions=(1, 2),
    channel_mult=(1, 1), num_heads=4, use_scale_shift_norm=False, resblock_updown=False,
    use_new_attention_order=True,
)
# The first of its channel multipliers is a half, as at 512 pixels.
guided(
    "guided_half", {"image_size": 8, "heads": 2, "attention_order": "old"},
    image_size=8, model_channels=64, out_channels=6, num_res_blocks=1, attention_resolutions=(4,),
    channel_mult=(0.5, 1, 0.5), num_heads=2, use_scale_shift_norm=False, resblock_updown=True,
)
# As google/ddpm-cifar10-32, but small.
diffusers(
    "diffusers_ddpm", {"beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"},
    sample_size=8, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, norm_eps=1e-6,
    down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, attention_head_dim=None,
)
diffusers(
    "diffusers_scale_shift", {"beta_start": 1e-3, "beta_end": 0.01, "beta_schedule": "scaled_linear"},
    sample_size=12, block_out_channels=(16, 32), layers_per_block=2, norm_num_groups=8, attn_norm_num_groups=8,
    down_block_types=("AttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "AttnUpBlock2D"),
    downsample_padding=1, attention_head_dim=8, resnet_time_scale_shift="scale_shift",
)
diffusers(
    "diffusers_cosine", {"beta_schedule": "squaredcos_cap_v2"},
    sample_size=8, block_out_channels=(16, 16, 32), layers_per_block=1, norm_num_groups=4,
    down_block_types=("DownBlock2D", "DownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "UpBlock2D", "UpBlock2D"), downsample_padding=0,
)
