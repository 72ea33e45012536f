"""State dicts of PyTorch: reading them, naming their arrays, recognising networks."""

from busnet.state_dicts.files import read_state_dict, to_numpy, unwrap
from busnet.state_dicts.keys import HEAD, Layout, StateDict, normalise
from busnet.state_dicts.recognise import check_arrays, recognise, recognise_blocks

__all__ = [
    "HEAD",
    "Layout",
    "StateDict",
    "check_arrays",
    "normalise",
    "read_state_dict",
    "recognise",
    "recognise_blocks",
    "to_numpy",
    "unwrap",
]
