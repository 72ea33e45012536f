"""busnet."""

from worker import serve

import busnet


def load(request):
    """Load the weights file."""
    busnet.set_threads(request["threads"])
    model = busnet.load(request["weights"], precision=request["precision"])
    outputs = request["outputs"]
    return lambda images: model.run(images, outputs=outputs)


if __name__ == "__main__":
    serve(load, lambda: busnet.__version__)
