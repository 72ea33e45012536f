"""Model.predict on a folder of PNG files, beside the bare passes of the same model.

    python benchmarks/throughput.py [--files N] [--seconds S] [--precision P] [MODEL ...]

Files are phantoms of 600 x 500 pixels. Both take turns; the bare passes are of batches
that are in memory already, as many images as there are files.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from common import both, cpu_name, times


def main() -> None:
    """Write the files, time both, and print the ratio of their throughputs."""
    import numpy as np
    from PIL import Image

    import busnet
    from busnet.data.phantom import phantom
    from busnet.inference import CHUNK

    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="*", default=["resnet18", "mod_resnet101"])
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--precision", default="f32")
    options = parser.parse_args()
    if options.files % CHUNK:
        sys.exit(f"--files is a multiple of {CHUNK}")
    print(f"{cpu_name()}, {busnet.get_threads()} threads, {options.precision}")
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.png" for i in range(options.files)]
        for i, path in enumerate(paths):
            Image.fromarray(phantom(500, 600, seed=i)[0]).convert("RGB").save(path)
        for name in options.models:
            model = busnet.load(name, precision=options.precision)
            size, channels = model.info.image_size, model.info.network.channels
            batch = np.zeros((CHUNK, size, size, channels), np.float32)

            def bare(model=model, batch=batch) -> None:
                for _ in range(options.files // CHUNK):
                    model.run(batch)

            taken = times(
                {"bare": bare, "predict": lambda model=model: model.predict(paths)},
                options.seconds,
                warm=1,
            )
            low = {
                key: both(found, 1e3 / options.files) for key, found in taken.items()
            }
            print(
                f"{name:14} bare {low['bare'][0]:6.2f} / {low['bare'][1]:6.2f} ms an image, "
                f"predict {low['predict'][0]:6.2f} / {low['predict'][1]:6.2f}, throughput "
                f"{low['bare'][0] / low['predict'][0]:.2f} / "
                f"{low['bare'][1] / low['predict'][1]:.2f} of the bare one"
            )


if __name__ == "__main__":
    main()
