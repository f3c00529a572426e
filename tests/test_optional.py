from __future__ import annotations

import pytest
from optional import needs


def test_a_missing_module_skips_here(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no_such_module"):
        needs("no_such_module")


def test_a_missing_module_fails_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        needs("no_such_module")


def test_a_module_that_is_there_is_returned():
    assert needs("json").loads("1") == 1


@pytest.mark.peers
@pytest.mark.parametrize("module", ["torchcodec.decoders", "cv2", "imageio"])
def test_the_peers_import(module):
    assert needs(module)
