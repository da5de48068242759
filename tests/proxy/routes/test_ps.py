"""`/api/ps`."""

from datetime import datetime

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, OTHER_MODEL, ScriptedEngine


def test_ps_lists_only_loaded_models(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    engine.status_of[OTHER_MODEL] = "unloaded"
    (process,) = proxy.http.get("/api/ps").json()["models"]

    assert process["name"] == f"{MODEL}:latest"
    assert datetime.fromisoformat(process["expires_at"]).year == 2318
    assert isinstance(process["size_vram"], int)
    assert isinstance(process["context_length"], int)
