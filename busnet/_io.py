"""Writing files whole or not at all, and file names as text."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from busnet.errors import OutputError

__all__ = [
    "PARTIAL",
    "SURROGATE",
    "atomic_write",
    "check_outputs",
    "check_target",
    "encodable",
    "escaped",
    "file_sha256",
    "locked",
    "output_errors",
    "remove_partial_files",
    "write_text",
]

#: Names of files under construction: short, whatever the name that they will have.
PARTIAL = re.compile(r"\.busnet-[0-9a-f]{16}(\..{1,20})?")

#: Bytes of a file name that are not UTF-8, as Python holds them in a string.
SURROGATE = re.compile("[\ud800-\udfff]")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to; it becomes ``path`` only if the block succeeds.

    The file under construction lies beside ``path``, so that taking its place is one
    step. On an exception it is removed and what stood at ``path`` stays.

    Raises
    ------
    OutputError
        If no file can be written there; errors of the block pass as they are.
    """
    target = Path(path)
    check_target(target)
    suffix = target.suffix if len(target.suffix) <= 20 else ""
    part = target.with_name(f".busnet-{secrets.token_hex(8)}{suffix}")
    with output_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    os.close(handle)
    try:
        yield part
        with output_errors(target):
            part.chmod(mode)  # writers may have put a file of their own in its place
            part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; see :func:`encodable`.

    Raises
    ------
    OutputError
        If no file can be written there.
    """
    with atomic_write(path) as part:
        part.write_text(encodable(text), encoding="utf-8")


def encodable(text: str | os.PathLike[str]) -> str:
    r"""Return a text in which bytes that are not UTF-8 are written as ``\xe9``."""
    return SURROGATE.sub(lambda match: escaped(match[0]), os.fspath(text))


def escaped(character: str) -> str:
    r"""Return a character as an escape; of a byte that is not UTF-8, ``\xe9``."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse a path at which no file can be written, before work is done for it.

    Raises
    ------
    OutputError
        If it is a folder, a device or a pipe, its name is too long, or its folder is a
        file or not writable.
    """
    target = Path(path)
    with output_errors(target):
        if target.is_dir():
            raise _output_error(target, errno.EISDIR, "it is a folder")
        if target.exists() and not target.is_file():
            # A file would take the place of /dev/null, for everyone.
            reason = "it is a device or a pipe, not a file"
            raise _output_error(target, errno.EINVAL, reason)
        parent = next(p for p in target.absolute().parents if p.exists())
        is_folder = parent.is_dir()
        if is_folder and _is_long(target, parent):
            number = errno.ENAMETOOLONG
            raise _output_error(target, number, os.strerror(number))
    if not is_folder:
        raise _output_error(target, errno.ENOTDIR, f"{parent} is a file, not a folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise _output_error(target, errno.EACCES, f"the folder {parent} is read-only")


def check_outputs(
    outputs: Mapping[str, str | os.PathLike[str] | None],
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Refuse outputs that would replace one another, or a file that is read.

    Parameters
    ----------
    outputs
        Files that will be written, by what a message calls them, such as ``"--json"``;
        None is no output.
    inputs
        Files that are read. Folders may be among them, and outputs in these.

    Raises
    ------
    OutputError
        If two outputs are one file, or an output is one of the inputs.
    """
    named = {name: Path(path) for name, path in outputs.items() if path is not None}
    users: dict[str, str] = {}
    for name, path in named.items():
        first = users.setdefault(os.path.realpath(path), name)
        if first != name:
            raise OutputError(
                f"{path}: it is named for both {first} and {name}, of which only one "
                f"would be left"
            )
    existing = {name: path for name, path in named.items() if path.is_file()}
    if not existing:
        return
    for file in map(Path, inputs):
        for name, path in existing.items():
            if file.is_file() and os.path.samefile(file, path):
                raise OutputError(
                    f"{path}: {name} would replace a file that is read; name another"
                )


def _is_long(target: Path, parent: Path) -> bool:
    """Tell whether a name below an existing folder is longer than its disk takes."""
    longest = os.pathconf(parent, "PC_NAME_MAX")
    names = target.absolute().relative_to(parent).parts
    return longest > 0 and any(len(os.fsencode(name)) > longest for name in names)


@contextlib.contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Name the output that the system's errors in the block are about.

    Raises
    ------
    OutputError
        With the error's number, in the place of an OSError.
    """
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise _output_error(path, error.errno, reason) from error


def _output_error(path: Path, number: int | None, reason: str) -> OutputError:
    error = OutputError(f"{path}: cannot be written: {reason}")
    error.errno = number
    return error


@contextlib.contextmanager
def locked(path: Path, message: str, *, blocking: bool = False) -> Iterator[None]:
    """Hold a lock for the block, as far as the file system has locks.

    Parameters
    ----------
    path
        A folder; or a file, which is made for the lock and removed after the block.
    message
        What the error says where another process holds the lock.
    blocking
        Whether to wait for the other process instead.

    Raises
    ------
    OutputError
        If another process holds it, or the file cannot be made.
    """
    is_folder = path.is_dir()
    handle = _lock(path, message, is_folder=is_folder, blocking=blocking)
    try:
        yield
    finally:
        if not is_folder and _is_open_file(handle, path):
            path.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path, message: str, *, is_folder: bool, blocking: bool) -> int:
    """Open and lock a folder or a file, and return its descriptor."""
    while True:
        with output_errors(path):
            flags = os.O_RDONLY if is_folder else os.O_RDWR | os.O_CREAT
            handle = os.open(path, flags, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(handle)
                raise OutputError(message) from None
            return handle  # a file system without locks
        # Whoever held the lock before may have removed the file meanwhile.
        if is_folder or _is_open_file(handle, path):
            return handle
        os.close(handle)


def _is_open_file(handle: int, path: Path) -> bool:
    """Tell whether a file is still, or again, at the path where it was opened."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remove_partial_files(folder: str | os.PathLike[str]) -> None:
    """Remove what :func:`atomic_write` left below a folder when its process was killed.

    Nothing may be writing there.
    """
    for path in Path(folder).rglob(".busnet-*"):
        if PARTIAL.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
