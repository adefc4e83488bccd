import pytest

from tests.gate.planted import plant


@pytest.fixture
def good(tmp_path):
    """A good fp32 artifact with 400 labelled rows and a teacher."""
    return plant(tmp_path)
