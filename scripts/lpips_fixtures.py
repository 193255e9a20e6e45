"""Makes shared/metrics/tests/fixtures/lpips.json with the reference package `lpips`.

    pip install torch torchvision lpips
    python scripts/lpips_fixtures.py

The backbones hold no published weights. Every weight, and every pixel, is a number that an integer hash makes of its
place, so that the test in shared/metrics/tests/all/published.rs can make the same ones, and only the results are stored. The
reference runs in double precision.
"""

import json
import math
import pathlib

import lpips
import numpy as np
import torch

FIXTURES = pathlib.Path(__file__).parent.parent / "shared/metrics/tests/fixtures/lpips.json"
# Height and width: near the smallest that each network takes, odd where that makes windows end outside.
SIZES = {"alex": (35, 47), "vgg": (24, 33), "squeeze": (41, 30)}
LINEAR_STREAM, PREDICTION_STREAM, TRUTH_STREAM = 1000, 2000, 2001


def uniform(stream, count):
    """`count` numbers in [0, 1): splitmix64's mixing of the numbers from `stream * golden` on, upper 24 bits."""
    with np.errstate(over="ignore"):
        z = np.arange(count, dtype=np.uint64) + np.uint64(stream * 0x9E3779B97F4A7C15 % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**24


def set_parameter(parameter, values):
    """Rounds to single precision first: that is what the other side reads."""
    values = torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape)
    parameter.data = values.to(parameter.dtype)


def fill(model):
    """Weights uniform with the variance 2 / fan-in (He et al. 2015), biases in [-0.1, 0.1], stage weights in [0, 1)."""
    stream = 0
    for part in model.net.children():
        for layer in part.modules():
            if isinstance(layer, torch.nn.Conv2d):
                count = layer.weight.numel()
                bound = math.sqrt(6 / (count / layer.weight.shape[0]))
                set_parameter(layer.weight, (2 * uniform(stream, count) - 1) * bound)
                set_parameter(layer.bias, (2 * uniform(stream + 1, layer.bias.numel()) - 1) * 0.1)
                stream += 2
    for number, linear in enumerate(model.lins):
        weight = linear.model[-1].weight
        set_parameter(weight, uniform(LINEAR_STREAM + number, weight.numel()))


def images(height, width):
    """Two pairs: a picture and a noisy one, and two pictures that have nothing in common."""
    count = 2 * 3 * height * width
    truth = 2 * uniform(TRUTH_STREAM, count) - 1
    other = 2 * uniform(PREDICTION_STREAM, count) - 1
    half = count // 2
    prediction = np.concatenate([0.75 * truth[:half] + 0.25 * other[:half], other[half:]])
    as_tensor = lambda x: torch.from_numpy(x.astype(np.float32).astype(np.float64)).reshape(2, 3, height, width)
    return as_tensor(prediction), as_tensor(truth)


def main():
    cases = []
    for net, (height, width) in SIZES.items():
        model = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False).double()
        fill(model)
        prediction, truth = images(height, width)
        with torch.no_grad():
            distances = model(prediction, truth).reshape(2)
        cases.append({
            "backbone": net,
            "height": height,
            "width": width,
            "distances": distances.tolist(),
        })
        print(net, distances.tolist())
    FIXTURES.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
