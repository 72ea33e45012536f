import pytest

from busnet.data import check


@pytest.fixture(scope="session")
def busi_report(busi):
    """Check all images of BUSI, which takes a while."""
    return check(busi)
