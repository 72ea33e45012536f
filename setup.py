"""Build of the C extension; everything else of the package is in pyproject.toml.

Environment variables:

BUSNET_ONEDNN_ROOT  folder of another oneDNN 3.x (its include and lib)
BUSNET_SANITIZE     sanitizers to build with, such as "address,undefined"
BUSNET_WERROR       set to 1 to make warnings errors
"""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
from importlib import metadata
from pathlib import Path

import numpy
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ONEDNN_PACKAGE = "onednn-devel-cpu-gomp"
ONEDNN_LIBRARY = "libdnnl.so.3"
OLDEST_ONEDNN = (3, 2)


def fail(sentence):
    raise SystemExit(f"busnet cannot be built: {sentence}")


def onednn_from_folder(root):
    """Return include and library folder of the oneDNN installed under root."""
    libraries = sorted((root / "lib").glob(f"**/{ONEDNN_LIBRARY}")) + sorted(
        (root / "lib64").glob(ONEDNN_LIBRARY)
    )
    if not (root / "include/oneapi/dnnl/dnnl.h").is_file() or not libraries:
        fail(
            f"BUSNET_ONEDNN_ROOT={root} has no include/oneapi/dnnl/dnnl.h or no "
            f"lib/{ONEDNN_LIBRARY}."
        )
    return root / "include", libraries[0].parent


def onednn_from_package():
    """Return include and library folder of the build requirement."""
    try:
        files = metadata.files(ONEDNN_PACKAGE) or []
    except metadata.PackageNotFoundError:
        fail(
            f"oneDNN is missing; install {ONEDNN_PACKAGE}==2023.2.0 or set "
            f"BUSNET_ONEDNN_ROOT to the folder of a oneDNN 3.x."
        )
    header = next(f for f in files if str(f).endswith("include/oneapi/dnnl/dnnl.h"))
    include = Path(header.locate()).resolve().parents[2]
    return onednn_from_folder(include.parent)


def check_version(include):
    text = (include / "oneapi/dnnl/dnnl_version.h").read_text()
    numbers = re.findall(r"#define DNNL_VERSION_(?:MAJOR|MINOR)\s+(\d+)", text)
    version = tuple(int(number) for number in numbers[:2])
    if version < OLDEST_ONEDNN or version[0] != OLDEST_ONEDNN[0]:
        fail(f"{include} is oneDNN {version[0]}.{version[1]}, needed is 3.2 or newer.")


def check_compiler():
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if shutil.which(shlex.split(command)[0]) is None:
        fail(f"there is no C compiler ({command}); install gcc.")
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.is_file():
        fail(f"{header} is missing; install Python's headers (Debian: python3-dev).")


def c_sources():
    """Return the C files; kernels of one architecture have a folder of their own."""
    folders = ["python", "core", "core/kernels"]
    if platform.machine().lower() in ("x86_64", "amd64"):
        folders.append("core/kernels/x86")
    return [str(p) for d in folders for p in sorted(Path("csrc", d).glob("*.c"))]


class BuildWithOneDNN(build_ext):
    """Finds oneDNN, builds against it, and puts its library into the package."""

    def run(self):
        super().run()
        # Python started in this folder finds the source before the installed package:
        # it finds it whole. In a folder that cannot be written, it is left as it is; a
        # build with sanitizers stays apart, since it runs only where they are loaded.
        if not self.inplace and not sanitizers and os.access("busnet", os.W_OK):
            self.copy_extensions_to_source()

    def build_extension(self, extension):
        check_compiler()
        root = os.environ.get("BUSNET_ONEDNN_ROOT")
        include, library = (
            onednn_from_folder(Path(root).resolve()) if root else onednn_from_package()
        )
        check_version(include)
        extension.include_dirs += [str(include), str(include / "oneapi/dnnl")]
        extension.extra_objects.append(str(library / ONEDNN_LIBRARY))
        super().build_extension(extension)
        self.copy_library(library / ONEDNN_LIBRARY, extension)

    def copy_extensions_to_source(self):
        super().copy_extensions_to_source()
        for extension in self.extensions:
            package = self.get_finalized_command("build_py").get_package_dir("busnet")
            for built in self.libs_folder(extension).iterdir():
                copy_whole(built, Path(package, "_libs", built.name))

    def copy_library(self, library, extension):
        folder = self.libs_folder(extension)
        copy_whole(library.resolve(), folder / ONEDNN_LIBRARY, strip=True)
        notices = library.parent.parent / "share/doc/onednn/THIRD-PARTY-PROGRAMS"
        if notices.is_file():
            copy_whole(notices, folder / notices.name)

    def libs_folder(self, extension):
        return Path(self.build_lib, *extension.name.split(".")[:-1], "_libs")


def copy_whole(source, target, strip=False):
    """Copy a file so that target is whole at any moment."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    shutil.copyfile(source, part)
    if strip and shutil.which("strip"):
        subprocess.run(["strip", "--strip-unneeded", str(part)], check=True)
    os.replace(part, target)


class Abi3Wheel(bdist_wheel):
    """Tags the wheel for CPython 3.10 and newer."""

    def get_tag(self):
        python, abi, platform = super().get_tag()
        return (
            ("cp310", "abi3", platform)
            if python.startswith("cp")
            else (
                python,
                abi,
                platform,
            )
        )


sanitizers = os.environ.get("BUSNET_SANITIZE")
sanitize = [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer"] if sanitizers else []

setup(
    ext_modules=[
        Extension(
            "busnet._core",
            sources=c_sources(),
            depends=[str(p) for p in sorted(Path("csrc").glob("**/*.h"))],
            include_dirs=["csrc/core", numpy.get_include()],
            define_macros=[("Py_LIMITED_API", "0x030A0000")],
            py_limited_api=True,
            extra_compile_args=[
                "-std=c11",
                "-ffp-contract=fast",  # which -std=c11 turns off, and with it FMA
                "-O2",
                "-fopenmp",
                "-fvisibility=hidden",
                "-Wall",
                "-Wextra",
                "-Wshadow",
                "-Wstrict-prototypes",
                "-Wconversion",
                *(["-Werror"] if os.environ.get("BUSNET_WERROR") == "1" else []),
                *sanitize,
            ],
            extra_link_args=["-fopenmp", "-Wl,-rpath,$ORIGIN/_libs", *sanitize],
        )
    ],
    cmdclass={"build_ext": BuildWithOneDNN, "bdist_wheel": Abi3Wheel},
)
