"""Check that words which the project gave up do not come back.

    python tools/check_vocabulary.py

CONTRIBUTING.md has the glossary. Names are looked for in code, phrases everywhere.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

#: Names that are not used, as regular expressions, and what is used instead.
NAMES = {
    r"TOGETHER|CHUNK": "BATCH_SIZE",
    r"in_order": "ordered_map",
    r"whole_file": "atomic_write",
    r"sweep": "remove_partial_files",
    r"check_unseen": "check_leakage",
    r"take_threads": "claim_threads",
    r"lanes?": "slot",
    r"_several": "_predict_as",
    r"(?!test_)(\w*_)?(found|held|kept|made|said|told)": "message, match: what it is",
    r"asked|taken|wanted": "request, files, expected, ...: what it is",
    r"(?!test_)((most|least)(_\w+)?|\w+_(most|least))": "max_..., min_...",
    r"levers?|LEVERS": "change",
    r"bus_map\w*|BUS_NARROW|BUS_WIDEN": "bus_quant, BUS_QUANTIZE, BUS_DEQUANTIZE",
    r"bus_own\w*|is_own": "bus_kernel_step, is_native",
    r"\w*settle\w*|READING": "promote_pages, WEIGHT_LOAD_COST",
}

#: Phrases that are not written, as regular expressions, and what is written instead.
PHRASES = {
    r"to be had\b": "available",
    r"\bby turns\b": "alternating",
    r"as soon as the next one": "times faster than",
    r"\b(about|of|for|in|than|find|note|compare) so (many|much)\b": "a number",
    r"\bhow it came out\b": "the result",
    r"\b(that|which|and) (is|are) none\b": "not one of ...",
    r"\bis none of\b": "is not one of",
    r"\bis to be (done|made|said|told|written|had)\b": "say who does it",
    r"\bUnderstood are\b": "... are read",
    r"\barrays: _core\.Weights": "weights",
    r"(NORMAL|BENIGN|MALIGNANT)\b[^=\n]* = (map|range|\()": "..._INDEX",
    r"\bnetwork made of\b|\bmodel made of\b": "output",
    r"(?<!so\s)\bthat there is\b": "every",
    r"\ball maps are, but": "every activation except",
    r"\bthere to stay\b": "what it is for",
    r"(can|could|to) be told apart|told apart": "differ",
    r"many multiplications reading": "one weight load costs about 15 multiply-adds",
    r"--protocol own\b|protocol ``?own": "custom",
    r"\.picture\(": "render()",
    r"exact=True": 'precision="exact"',
    r"def (protocol|network)\(|\bnetwork\(\"|import .*\bnetwork$": "get_...",
    r"\b(many|seen|own|ahead|initial)\.py": "the module of the new layout",
}

SUFFIXES = {".py", ".pyi", ".c", ".h", ".md", ".ipynb", ".toml"}
#: Between two words of a phrase: also a line break within a comment.
SPACE = r"[\s#*]+"

C_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"', re.DOTALL)


def names(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Yield the identifiers of code, each with its line."""
    if path.suffix in {".py", ".pyi"}:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string
    elif path.suffix in {".c", ".h"}:
        code = C_TEXT.sub(lambda match: "\n" * match[0].count("\n"), text)
        for number, line in enumerate(code.splitlines(), 1):
            for name in re.findall(r"\b[A-Za-z_]\w*", line):
                yield number, name


def check(path: Path) -> list[str]:
    """Return a message for each word of a file that is not used any more."""
    text = path.read_text(encoding="utf-8")
    messages = [
        f"{path}:{number}: {name}: say {better}"
        for number, name in names(path, text)
        for pattern, better in NAMES.items()
        if re.fullmatch(pattern, name)
    ]
    for pattern, better in PHRASES.items():
        for match in re.finditer(pattern.replace(" ", SPACE), text, re.MULTILINE):
            number = text.count("\n", 0, match.start()) + 1
            phrase = " ".join(match[0].split())
            messages.append(f"{path}:{number}: {phrase}: say {better}")
    return messages


def main() -> int:
    """Check every file that git knows, and return the exit status."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], capture_output=True, text=True, check=True
    ).stdout.split("\0")
    paths = [Path(name) for name in listed if Path(name).suffix in SUFFIXES]
    own = Path(__file__).resolve()
    messages = [m for path in paths if path.resolve() != own for m in check(path)]
    print("\n".join(messages))
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
