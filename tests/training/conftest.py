import pytest

torch = pytest.importorskip("torch", reason="needs the extra busnet[train]")
torch.set_num_threads(2)
