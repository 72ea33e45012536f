"""OpenVINO, held to the requested precision."""

import openvino
from worker import planes, serve


def load(request):
    """Load the ONNX file for inputs of one shape, tuned for latency."""
    core = openvino.Core()
    model = core.read_model(request["onnx"])
    model.reshape(request["shape"])
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": request["threads"],
            "NUM_STREAMS": 1,
            # An int8 graph says itself which layers are in 8 bits; the rest is float.
            "INFERENCE_PRECISION_HINT": request["precision"].replace("int8", "f32"),
            "PERFORMANCE_HINT": "LATENCY",
        },
    )
    ports = {name: compiled.output(name) for name in request["outputs"]}
    inference = compiled.create_infer_request()

    def run(images):
        outputs = inference.infer({"image": planes(images)})
        return {name: outputs[port] for name, port in ports.items()}

    return run


if __name__ == "__main__":
    serve(load, lambda: openvino.__version__.split("-")[0])
