"""MNN, converted from ONNX by its own converter."""

import json
import subprocess
import sys
from pathlib import Path

import _tools
import MNN
import numpy as np
from MNN import nn
from worker import planes, serve

PRECISIONS = {"f32": "high", "bf16": "low", "int8": "high"}


def quantized(source, samples, shape):
    """Return the model in 8 bits, calibrated on the samples by MNN's own quantizer."""
    target = source.with_suffix(".int8.mnn")
    if not target.exists():
        config = {
            "format": "GRAY" if shape[1] == 1 else "RGB",
            "mean": [0.0] * shape[1],
            "normal": [1 / 255] * shape[1],
            "height": shape[2],
            "width": shape[3],
            "path": f"{samples}/",
            "used_sample_num": len(list(samples.iterdir())),
            "feature_quantize_method": "KL",
            "weight_quantize_method": "MAX_ABS",
        }
        settings = source.with_suffix(".json")
        settings.write_text(json.dumps(config))
        _tools.mnnquant(str(source), str(target), str(settings))
    return target


def load(request):
    """Load the ONNX file, converted if it is not yet."""
    converted = Path(request["onnx_f32"]).with_suffix(".mnn")
    if not converted.exists():
        converter = Path(sys.executable).with_name("mnnconvert")
        command = [converter, "-f", "ONNX", "--modelFile", request["onnx_f32"]]
        command += ["--MNNModel", converted, "--bizCode", "busnet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if request["precision"] == "int8":
        converted = quantized(converted, Path(request["samples"]), request["shape"])
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
        outputs = module.onForward([image])
        return {
            name: np.array(MNN.expr.convert(y, MNN.expr.data_format.NCHW).read())
            for name, y in zip(names, outputs, strict=True)
        }

    return run


if __name__ == "__main__":
    serve(load, MNN.version)
