"""ncnn, converted from TorchScript by pnnx. It takes one image at a time."""

import subprocess
import sys
from pathlib import Path

import ncnn
import numpy as np
from worker import planes, serve


def load(request):
    """Load the TorchScript file, converted if it is not yet."""
    if request["precision"] == "int8":
        raise RuntimeError("ncnn's quantizer is not part of its Python package")
    source = Path(request["torchscript"])
    stem = source.with_suffix("")
    param, weights = f"{stem}.ncnn.param", f"{stem}.ncnn.bin"
    if not Path(param).exists():
        shape = ",".join(map(str, [1, *request["shape"][1:]]))
        command = [Path(sys.executable).with_name("pnnx"), source]
        command += [f"inputshape=[{shape}]", "fp16=0"]
        command += [f"ncnnparam={param}", f"ncnnbin={weights}"]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, cwd=source.parent
        )
    net = ncnn.Net()
    net.opt.num_threads = request["threads"]
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = False
    net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = request["precision"] == "bf16"
    if net.load_param(param) or net.load_model(weights):
        raise RuntimeError("the converted model cannot be loaded")
    names = {f"out{i}": name for i, name in enumerate(request["outputs"])}

    def run(images):
        outputs = {name: [] for name in names.values()}
        for image in planes(images):
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(image).clone())
            for key, name in names.items():
                outputs[name].append(np.array(extractor.extract(key)[1]))
        return {name: np.stack(arrays) for name, arrays in outputs.items()}

    return run


if __name__ == "__main__":
    serve(load, lambda: ncnn.__version__)
