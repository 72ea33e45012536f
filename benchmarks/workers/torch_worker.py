"""PyTorch: channels last, compiled with frozen weights; cold starts without."""

import contextlib

import torch
import torch._inductor.config
from worker import planes, serve

import busnet


def load(request):
    """Build the module from the weights file and compile it."""
    if request["precision"] == "int8":
        raise RuntimeError("PyTorch quantizes in a package of its own, torchao")
    torch.set_num_threads(request["threads"])
    torch._inductor.config.freezing = True
    module = busnet.load(request["weights"]).to_torch()
    module = module.to(memory_format=torch.channels_last)
    if request["compiled"]:
        module = torch.compile(module)
    bf16 = request["precision"] == "bf16"

    def run(images):
        batch = torch.from_numpy(planes(images)).to(memory_format=torch.channels_last)
        cast = (
            torch.autocast("cpu", torch.bfloat16) if bf16 else contextlib.nullcontext()
        )
        with torch.no_grad(), cast:
            outputs = module(batch)
        return {name: outputs[name].float().numpy() for name in request["outputs"]}

    return run


if __name__ == "__main__":
    serve(load, lambda: torch.__version__)
