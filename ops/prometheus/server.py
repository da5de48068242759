"""Start a Prometheus server of our own."""

from pathlib import Path

from infra.prometheus_config import PROTECTIVE_FLAGS
from ops.processes.process import Process
from ops.prometheus.programs import require_programs


def start_prometheus(folder: Path, config: str, target: str) -> Process:
    """Start a Prometheus, without waiting for it.

    Args:
        folder: Takes its configuration (``prometheus.yml``), its data and its log.
        config: Text of the configuration.
        target: ``host:port`` to listen on.

    Raises:
        OperatorError: There is no Prometheus of a supported version.
    """
    file = folder / "prometheus.yml"
    file.write_text(config, encoding="utf-8")
    command = [
        require_programs().prometheus,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={target}",
        *PROTECTIVE_FLAGS,
        "--log.level=warn",
    ]
    return Process(command, folder / "prometheus.log", {})
