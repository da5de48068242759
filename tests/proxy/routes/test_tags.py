"""`/api/tags`."""

import re
from datetime import datetime

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, OTHER_MODEL


def test_tags_list_what_the_engine_serves(proxy: RunningProxy) -> None:
    """No "default", names with a tag, every field of its type."""
    models = proxy.http.get("/api/tags").json()["models"]

    assert [model["name"] for model in models] == [f"{MODEL}:latest", f"{OTHER_MODEL}:latest"]
    for model in models:
        assert model["name"] == model["model"]
        assert re.fullmatch("[0-9a-f]{64}", model["digest"])
        assert datetime.fromisoformat(model["modified_at"]).tzinfo is not None
        assert isinstance(model["size"], int)
        assert isinstance(model["details"], dict)
