"""What an entry of ``methods`` has to say at least, for tests that go over all methods."""

from __future__ import annotations

from typing import Any

LEAST: dict[str, dict[str, Any]] = {
    "weighted": {"terms": {"adversarial": {"weight": 1, "form": "lsgan", "conditional": False, "pool": 8}, "identity": 5}},
}
