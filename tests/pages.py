"""Pages of the documentation: their examples, and how those are executed.

Blocks marked ``python`` and ``sh`` are executed, page by page, in a folder with the
files that they name. Blocks marked ``console`` need the network or BUSI and are not
executed.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, UIDS, write_dicom
from PIL import Image
from random_weights import random_arrays
from safetensors.numpy import save_file

from busnet.data.phantom import phantom
from busnet.networks import get_network

BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"<!-- needs: (.*) -->")

#: What `make test-train` installs and `make test` does not.
TRAINING = {"torch", "onnx"}


def needs(page):
    """Return the modules that the examples of a page import."""
    match = NEEDS.search(page.read_text())
    return set(match[1].split()) if match else set()


def pages(*, training):
    """List the pages whose examples need training's modules, or those that do not."""
    paths = sorted((ROOT / "docs" / "pages").glob("*.md"))
    return [page for page in paths if bool(needs(page) & TRAINING) == training]


def write_files(folder):
    """Write the files that the examples read."""
    (folder / "scans").mkdir()
    for i in range(12):
        image = Image.fromarray(phantom(120, 160, seed=i)[0])
        image.save(folder / "scans" / f"{i}.png")
    image.save(folder / "scan.png")
    image.save(folder / "other.png")
    row = get_network("resnet18", heads=("class",))
    save_file(random_arrays(row), folder / "theirs.safetensors")
    (folder / "list.csv").write_text("image\nscan.png\nscans/3.png\n")
    for number, label in enumerate(("normal", "benign", "malignant") * 4):
        data = folder / "my-data" / label
        data.mkdir(parents=True, exist_ok=True)
        image, mask = phantom(100, 120, seed=number)
        Image.fromarray(image).save(data / f"{number}.png")
        drawn = mask & (label != "normal")
        Image.fromarray(drawn).save(data / f"{number}_mask.png")


def write_export(folder):
    frames = np.stack([phantom(80, 100, seed=i)[0] for i in range(3)])
    (folder / "export").mkdir()
    write_dicom(folder / "export" / "still.dcm", frames[0], "MONOCHROME2", **UIDS)
    write_dicom(folder / "export" / "loop.dcm", frames, "MONOCHROME2", **UIDS)


def execute(kind, text, folder):
    if kind == "sh":
        command = ["bash", "-euc", text]
    else:
        script = folder / "example.py"
        script.write_text(text)
        command = [sys.executable, script]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run_page(page, folder):
    """Execute the examples of a page, or skip what needs modules that are missing."""
    for need in needs(page):
        if importlib.util.find_spec(need) is None:
            pytest.skip(f"needs {need}")
    write_files(folder)
    if page.stem == "dicom":
        write_export(folder)
    blocks = BLOCK.findall(page.read_text())
    if page.stem not in ("comparison", "model-card"):
        assert blocks
    # The Python blocks of a page are one program: later ones use earlier names.
    for block in [b for b in blocks if b[0] == "sh"]:
        execute(*block, folder)
    python = "\n".join(code for kind, code in blocks if kind == "python")
    if python:
        execute("python", python, folder)
