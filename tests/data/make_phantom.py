"""Write phantom.png, the bundled image: a synthetic ultrasound with one lesion.

python tests/data/make_phantom.py
"""

from pathlib import Path

from PIL import Image

from busnet.data.phantom import phantom


def main():
    image, _ = phantom()
    Image.fromarray(image).save(
        Path(__file__).resolve().parent / "phantom.png", optimize=True
    )


if __name__ == "__main__":
    main()
