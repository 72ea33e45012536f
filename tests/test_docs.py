"""The examples of the documentation and of README, executed as they are written.

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

from busnet.data.phantom import phantom

PAGES = sorted((ROOT / "docs" / "pages").glob("*.md"))
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDS = re.compile(r"<!-- needs: (.*) -->")


@pytest.fixture
def folder(tmp_path):
    """Write the files that the examples read."""
    (tmp_path / "scans").mkdir()
    for i in range(12):
        image = Image.fromarray(phantom(120, 160, seed=i)[0])
        image.save(tmp_path / "scans" / f"{i}.png")
    image.save(tmp_path / "scan.png")
    image.save(tmp_path / "other.png")
    (tmp_path / "list.csv").write_text("image\nscan.png\nscans/3.png\n")
    for number, label in enumerate(("normal", "benign", "malignant") * 4):
        data = tmp_path / "my-data" / label
        data.mkdir(parents=True, exist_ok=True)
        image, mask = phantom(100, 120, seed=number)
        Image.fromarray(image).save(data / f"{number}.png")
        drawn = mask & (label != "normal")
        Image.fromarray(drawn).save(data / f"{number}_mask.png")
    return tmp_path


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_run(page, folder):
    text = page.read_text()
    for need in NEEDS.search(text)[1].split() if NEEDS.search(text) else ():
        if importlib.util.find_spec(need) is None:
            pytest.skip(f"needs {need}")
    if page.stem == "dicom":
        write_export(folder)
    blocks = BLOCK.findall(text)
    if page.stem not in ("comparison", "model-card"):
        assert blocks
    # The Python blocks of a page are one program: later ones use earlier names.
    for block in [b for b in blocks if b[0] == "sh"]:
        execute(*block, folder)
    python = "\n".join(code for kind, code in blocks if kind == "python")
    if python:
        execute("python", python, folder)


def test_readme_says_what_it_prints():
    text = (ROOT / "README.md").read_text()
    (kind, code) = next(b for b in BLOCK.findall(text) if b[0] == "python")
    (shown,) = re.findall(r"^prints\n\n```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert kind == "python"
    assert done.stdout == shown
