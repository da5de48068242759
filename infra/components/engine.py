"""The engine: the official Mistral.rs image, or our own small one; none for an external engine.

The official image runs as root, and has no folder for a volume that another user could write to. It
gets one more layer that fixes both.

Both have the same alias, port and paths, so that nothing else in the stack depends on which it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pulumi

from infra import images
from infra.container import (
    SECRETS_FOLDER,
    ContainerSpec,
    Files,
    HealthCheck,
    Mount,
    Placement,
    run,
    with_secret_environment,
)
from infra.egress import IMAGE_CA_FILE, Egress
from infra.gpus import GpuRequest
from infra.mistralrs_config import EngineOptions, configuration, serve_arguments
from infra.secret_output import secret_output
from infra.settings.served_models import ServedModel
from infra.settings.types import EngineMode, Secret
from infra.storage import data_volume
from infra.topology import EMBEDDED_CACHE_VOLUME, ENGINE, MODEL_CACHE_VOLUME

# Where the official image keeps Hugging Face's cache: its ``HF_HOME``.
MISTRALRS_CACHE = "/data"

# Where our image keeps its models: its ``MODEL_CACHE``.
EMBEDDED_CACHE = "/models"

# The images' own entry points.
MISTRALRS_PROGRAM = ("mistralrs",)
EMBEDDED_PROGRAM = ("python", "-m", "embedded_engine")

HF_TOKEN_FILE = f"{SECRETS_FOLDER}/hf-token"

# For each engine's cache: the word in its logical name, and its volume.
_CACHES = {
    EngineMode.MISTRALRS: ("model", MODEL_CACHE_VOLUME),
    EngineMode.EMBEDDED: ("embedded", EMBEDDED_CACHE_VOLUME),
}

MISTRALRS_CONFIG_FILE = f"{SECRETS_FOLDER}/mistralrs.toml"


@dataclass(frozen=True)
class EngineArgs:
    """What the engine depends on.

    Attributes:
        placement: Stack and network.
        mode: ``mistralrs`` or ``embedded``.
        build: How its image is built, on the official image or on a Python image.
        egress: How it reaches the internet to fetch models.
        models: What it serves; a single model has no name. The embedded engine has a default.
        options: How it runs.
        arguments: Further arguments of ``mistralrs serve``.
        environment: Further variables.
        hf_token: Hugging Face token; empty for none.
        gpus: GPUs that it gets; None for none.
        memory_mb: Memory limit in MB.
        wait_seconds: How long ``up`` waits for it to become healthy.
        protect_data: Whether Pulumi refuses to delete the model cache.
    """

    placement: Placement
    mode: EngineMode
    build: images.Build
    egress: Egress
    models: tuple[ServedModel, ...]
    options: EngineOptions
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    hf_token: Secret
    gpus: GpuRequest | None
    memory_mb: int
    wait_seconds: int
    protect_data: bool


def mistralrs_spec(
    args: EngineArgs, image: pulumi.Input[str], cache: pulumi.Input[str]
) -> ContainerSpec:
    """Describe the official image's container.

    One model is served by the arguments of ``mistralrs serve``, which a preview shows; several need
    a configuration file.
    """
    options = _for_device(args)
    files = _token(args.hf_token)
    command: tuple[str, ...]
    if args.models[0].name:
        files[MISTRALRS_CONFIG_FILE] = configuration(ENGINE.port, args.models, options)
        command = ("from-config", "--file", MISTRALRS_CONFIG_FILE)
    else:
        command = (*serve_arguments(ENGINE.port, args.models[0], options), *args.arguments)
    spec = ContainerSpec(
        member=ENGINE,
        image=image,
        command=command,
        # Other files that it keeps go to the volume too: the rest is read-only.
        environment={**args.environment, "HOME": MISTRALRS_CACHE},
        files=Files(SECRETS_FOLDER, files) if files else None,
        health_check=HealthCheck(command=("curl", "-fsS", _health_url())),
        mounts=(Mount(MISTRALRS_CACHE, volume=cache), *_mounts(args.models)),
        wait_seconds=args.wait_seconds,
        memory_mb=args.memory_mb,
        user=images.ENGINE_USER,
        gpus=args.gpus,
        shm_mb=None if args.gpus is None else _shm_mb(args.memory_mb),
        host_gateway=args.egress.leads_to_docker_host,
    )
    return with_secret_environment(spec, MISTRALRS_PROGRAM, args.egress.proxies)


def embedded_spec(
    args: EngineArgs, image: pulumi.Input[str], cache: pulumi.Input[str]
) -> ContainerSpec:
    """Describe our own image's container."""
    model = args.models[0].id
    files = _token(args.hf_token)
    spec = ContainerSpec(
        member=ENGINE,
        image=image,
        environment={
            **args.environment,
            "MODEL_CACHE": EMBEDDED_CACHE,
            **({"MODEL": model} if model else {}),
            **({"HF_TOKEN_PATH": HF_TOKEN_FILE} if args.hf_token else {}),
            **_trust(args.egress),
        },
        files=Files(SECRETS_FOLDER, files) if files else None,
        health_check=HealthCheck(command=("python", "-m", "embedded_engine.healthcheck")),
        mounts=(Mount(EMBEDDED_CACHE, volume=cache), *_mounts(args.models)),
        wait_seconds=args.wait_seconds,
        memory_mb=args.memory_mb,
        user=images.ENGINE_USER,
        host_gateway=args.egress.leads_to_docker_host,
    )
    secrets = {**args.egress.proxies, **args.egress.index}
    return with_secret_environment(spec, EMBEDDED_PROGRAM, secrets)


def _trust(egress: Egress) -> dict[str, str]:
    """Return the variables with which pip and Hugging Face's client trust additional CAs.

    For pip it isn't ``PIP_CERT``, which is overridden where a base image sets the other one.
    """
    variables = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE") if egress.ca_certificates else ()
    return dict.fromkeys(variables, IMAGE_CA_FILE)


def _shm_mb(memory_mb: int) -> int:
    """Return the size of ``/dev/shm``, through which NCCL connects several GPUs, in MB.

    Half of the memory, as on Linux outside of containers; with Docker's 64 MB NCCL fails. It is
    a limit: only what is used counts as the container's memory.
    """
    return max(64, memory_mb // 2)


def _for_device(args: EngineArgs) -> EngineOptions:
    """Return the options with what a CPU needs, unless the settings say otherwise."""
    token_file = HF_TOKEN_FILE if args.hf_token else None
    options = replace(args.options, token_file=token_file)
    if args.gpus is not None:
        return options
    quantized = any(model.quantization for model in args.models)
    if options.max_seqs is None and quantized:
        # Quantized models fail prompts of one length that are read together (ADR 0007).
        options = replace(options, max_seqs=1)
    if options.prefix_cache_size is None:
        # Nothing is ever removed from the prefix cache (ADR 0007).
        options = replace(options, prefix_cache_size=0)
    return options


def _mounts(models: tuple[ServedModel, ...]) -> tuple[Mount, ...]:
    """Return the mounts of the folders and files on the Docker host that the models name."""
    return tuple(
        Mount(inside, host_path=str(PurePosixPath(path)), read_only=True)
        for model in models
        for inside, path in model.host_paths.items()
    )


def _token(token: Secret) -> dict[str, pulumi.Input[str]]:
    return {HF_TOKEN_FILE: secret_output(token)} if token else {}


def _health_url() -> str:
    return f"http://127.0.0.1:{ENGINE.port}{ENGINE.health_path}"


class Engine(pulumi.ComponentResource):
    """Image, model cache and container of the engine."""

    def __init__(
        self, name: str, args: EngineArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("frontier:infra:Engine", name, {}, opts)
        kind, volume = _CACHES[args.mode]
        cache = data_volume(
            f"{name}-{kind}-cache",
            volume,
            args.placement.stack,
            parent=self,
            protect=args.protect_data,
            keep=True,
        )
        embedded = args.mode is EngineMode.EMBEDDED
        image = images.built(
            f"{name}-image",
            "embedded_engine" if embedded else "infra/mistralrs",
            ENGINE.container,
            build=args.build,
            stack=args.placement.stack,
            parent=self,
        )
        describe = embedded_spec if embedded else mistralrs_spec
        spec = describe(args, image.repo_digest, cache.name)
        self.container = run(f"{name}-container", spec, args.placement, parent=self)
        self.register_outputs({})
