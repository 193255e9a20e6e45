"""Makes shared/lpips_tools/tests/fixtures/{legacy,zipped}.pth: two tensors in each of PyTorch's two file formats.

    pip install torch
    python scripts/lpips_pth_fixtures.py
"""

import pathlib

import torch

FOLDER = pathlib.Path(__file__).parent.parent / "shared/lpips_tools/tests/fixtures"

tensors = {"lin0.model.1.weight": torch.tensor([[[[0.5]], [[2.0]]]]), "steps": torch.tensor([7])}
torch.save(tensors, FOLDER / "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(tensors, FOLDER / "zipped.pth")
