"""ONNX Runtime, its CPU provider, all optimisations of graphs."""

import onnxruntime
from worker import planes, serve


def load(request):
    """Load the ONNX file."""
    if request["precision"] == "bf16":
        raise RuntimeError("ONNX Runtime has no bfloat16 convolutions on CPUs")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request["threads"]
    session = onnxruntime.InferenceSession(
        request["onnx"], options, providers=["CPUExecutionProvider"]
    )
    names = request["outputs"]

    def run(images):
        outputs = session.run(names, {"image": planes(images)})
        return dict(zip(names, outputs, strict=True))

    return run


if __name__ == "__main__":
    serve(load, lambda: onnxruntime.__version__)
