"""Networks without memory: shapes alone."""

import pytest
from torch import nn


@pytest.fixture
def without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move every parameter to the meta device at birth (torch.device("meta") alone does not do for RegNet)."""
    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        register(module, name, None if parameter is None else nn.Parameter(parameter.to("meta")))

    monkeypatch.setattr(nn.Module, "register_parameter", on_meta)
