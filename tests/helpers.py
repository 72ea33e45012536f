"""Helpers of several test modules: running commands, reading and writing files."""

import contextlib
import csv
import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PHANTOM = ROOT / "tests" / "data" / "phantom.png"

#: UIDs by which a DICOM segmentation refers to its source.
UIDS = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1",
    "SOPInstanceUID": "1.2.3.4",
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.1",
}


#: Runs busnet as ``python -m busnet`` does, after setting up its process.
LAUNCHER = """
import resource, runpy, signal, sys

file_limit = int(sys.argv.pop(1))
signal.signal(signal.SIGINT, signal.default_int_handler)
if file_limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
runpy.run_module("busnet", run_name="__main__", alter_sys=True)
"""


def run(*arguments, check=0):
    """Run a ``busnet`` command and check its exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "busnet", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == check, (done.returncode, done.stdout, done.stderr)
    return done


def call(*arguments, check=0):
    """Run a ``busnet`` command in this process, which takes less time than `run`."""
    import busnet
    from busnet.cli import main

    stdout, stderr = io.StringIO(), io.StringIO()
    threads = busnet.get_threads()
    with (
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        pytest.raises(SystemExit) as ended,
    ):
        main([str(argument) for argument in arguments])
    busnet.set_threads(threads)  # which an option may have set
    status = ended.value.code or 0
    done = subprocess.CompletedProcess(
        arguments, status, stdout.getvalue(), stderr.getvalue()
    )
    assert check is None or status == check, (status, done.stdout, done.stderr)
    return done


def start(*arguments, stdout=None, file_limit=0):
    """Start a ``busnet`` command that SIGINT interrupts, and return its process.

    A shell lets its background jobs ignore SIGINT, and their children inherit that:
    without the launcher, such a command would never notice the signal of a test.

    Parameters
    ----------
    *arguments
        Words of the command.
    stdout : file, optional
        Where the command prints; by default, where the tests do.
    file_limit : int, default 0
        Maximum size of a written file in bytes; 0: no limit.
    """
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(file_limit), *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_files(folder, pattern, count, timeout=60):
    """Wait until `count` files of `folder` match a pattern."""
    end = time.monotonic() + timeout
    while len(list(folder.glob(pattern))) < count and time.monotonic() < end:
        time.sleep(0.001)


def pixels(path, mode=None):
    """Read an image file as Pillow decodes it, or in a mode of Pillow's."""
    with Image.open(path) as image:
        return np.asarray(image.convert(mode) if mode else image)


def rows(text):
    """Parse a CSV table into one dict a row."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def write_dicom(path, pixels, photometric, syntax=None, data=None, **tags):
    """Write a DICOM file of (H, W), (H, W, 3) or (N, H, W) pixels."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    syntax = syntax or ExplicitVRLittleEndian
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.6.1")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    dataset = FileDataset(
        None,
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )
    dataset.Modality = "US"
    dataset.PatientName = "SECRET^NAME"
    dataset.PatientID = "SECRET-ID"
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    frames = pixels.ndim == 3 and not colour
    dataset.Rows, dataset.Columns = pixels.shape[1:] if frames else pixels.shape[:2]
    if frames:
        dataset.NumberOfFrames = pixels.shape[0]
    dataset.SamplesPerPixel = 3 if colour else 1
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes() if data is None else data
    dataset.save_as(path, enforce_file_format=True)
    return path


def tissue_region(top, left, bottom, right):
    """Return an item of SequenceOfUltrasoundRegions with pixels of .1 mm."""
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RegionSpatialFormat = item.RegionDataType = 1
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right - 1, bottom - 1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = 0.01
    return item
