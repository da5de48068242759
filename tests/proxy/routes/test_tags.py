"""`/api/tags`."""

import re
from datetime import datetime

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, OTHER_MODEL


def test_tags_lists_the_models_of_the_engine(proxy: RunningProxy) -> None:
    """Without "default", with a tag in each name, and with every field of its type."""
    models = proxy.http.get("/api/tags").json()["models"]

    assert [model["name"] for model in models] == [f"{MODEL}:latest", f"{OTHER_MODEL}:latest"]
    for model in models:
        assert model["name"] == model["model"]
        assert re.fullmatch("[0-9a-f]{64}", model["digest"])
        assert datetime.fromisoformat(model["modified_at"]).tzinfo is not None
        assert isinstance(model["size"], int)
        assert isinstance(model["details"], dict)
