"""MNN, converted from ONNX by its own converter."""

import subprocess
import sys
from pathlib import Path

import MNN
import numpy as np
from MNN import nn
from worker import planes, serve

PRECISIONS = {"f32": "high", "bf16": "low"}


def load(request):
    """Convert the ONNX file, unless that is done, and load it."""
    converted = Path(request["onnx"]).with_suffix(".mnn")
    if not converted.exists():
        converter = Path(sys.executable).with_name("mnnconvert")
        command = [converter, "-f", "ONNX", "--modelFile", request["onnx"]]
        command += ["--MNNModel", converted, "--bizCode", "busnet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    manager = nn.create_runtime_manager(
        (
            {
                "backend": "CPU",
                "numThread": request["threads"],
                "precision": PRECISIONS[request["precision"]],
            },
        )
    )
    names = request["outputs"]
    module = nn.load_module_from_file(
        str(converted), ["image"], names, runtime_manager=manager
    )

    def run(images):
        image = MNN.expr.const(
            planes(images), list(request["shape"]), MNN.expr.data_format.NCHW
        )
        found = module.onForward([image])
        return {
            name: np.array(MNN.expr.convert(y, MNN.expr.data_format.NCHW).read())
            for name, y in zip(names, found, strict=True)
        }

    return run


if __name__ == "__main__":
    serve(load, MNN.version)
