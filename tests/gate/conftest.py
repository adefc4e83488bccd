import shutil
from dataclasses import replace

import pytest

from tests.gate.planted import plant


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    return plant(tmp_path_factory.mktemp("good"))


@pytest.fixture
def good(template, tmp_path):
    """A good fp32 artifact with 320 labelled rows and a teacher, to plant a fault in; its student stays as it is."""
    return replace(template, folder=shutil.copytree(template.folder, tmp_path / "artifact"))
