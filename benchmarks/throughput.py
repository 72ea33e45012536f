"""Model.predict on a folder of PNG files, compared with forward passes alone.

    python benchmarks/throughput.py [--folder F] [--precision P] [MODEL ...]

The files are those of a folder, or phantoms of 600 x 500 pixels. Both runs alternate;
the forward passes compute batches that are in memory, with one image for each file.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from common import both, cpu_name, times


def main() -> None:
    """Time both and print the ratio of their throughputs."""
    import numpy as np
    from PIL import Image

    import busnet
    from busnet.data.phantom import phantom
    from busnet.engine.session import BATCH_SIZE

    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("models", nargs="*", default=["resnet18", "mod_resnet101"])
    parser.add_argument("--folder", type=Path, help="PNG files to predict")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--precision", default="f32")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if options.folder is None:
            for i in range(64):
                image = Image.fromarray(phantom(500, 600, seed=i)[0]).convert("RGB")
                image.save(folder / f"{i}.png")
        paths = sorted(folder.glob("*.png"))
        count = BATCH_SIZE[options.precision]
        paths = paths[: len(paths) // count * count]
        print(
            f"{cpu_name()}, {busnet.get_threads()} threads, {options.precision}, "
            f"{len(paths)} files"
        )
        for name in options.models:
            model = busnet.load(name, precision=options.precision)
            size, channels = model.info.image_size, model.info.network.channels
            batch = np.zeros((count, size, size, channels), np.float32)

            def bare(model=model, batch=batch) -> None:
                for _ in range(len(paths) // count):
                    model.run(batch)

            durations = times(
                {"bare": bare, "predict": lambda model=model: model.predict(paths)},
                options.seconds,
                warm=1,
            )
            scale = 1e3 / len(paths)
            plain, whole = (both(durations[key], scale) for key in ("bare", "predict"))
            print(
                f"{name:14} ms an image: bare {plain[0]:.2f} / {plain[1]:.2f}, predict "
                f"{whole[0]:.2f} / {whole[1]:.2f}; its throughput is "
                f"{plain[0] / whole[0]:.2f} / {plain[1] / whole[1]:.2f} of the bare one"
            )


if __name__ == "__main__":
    main()
