"""A stand-in for the programs that the stack commands start, which records the commands."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.processes.runner import Interruption, Result

CLI = "/opt/bin/pulumi"
PROGRAMS = {
    "docker": "/usr/bin/docker",
    "pulumi": CLI,
    "pulumi-resource-docker": "/opt/bin/pulumi-resource-docker",
    "pulumi-resource-grafana": "/opt/bin/pulumi-resource-grafana",
}
HEALTHY = {
    "docker version": Result(0, "28.0.1\n"),
    "docker ps": Result(0, ""),
    "docker container inspect": Result(1, "", "Error: No such container"),
    "pulumi version": Result(0, "v3.272.0\n"),
    "pulumi whoami": Result(255, "", "error: PULUMI_ACCESS_TOKEN must be set for login"),
    "pulumi stack output": Result(0, "{}"),
    "pulumi stack export": Result(0, '{"deployment": {}}'),
}


@dataclass
class ScriptedRunner:
    """Returns results by the first words of a command; others succeed without output.

    Attributes:
        results: Results by the beginning of a command; they override those of HEALTHY.
        programs: Paths of the programs on PATH.
        commands: Every command so far, with the program's name instead of its path.
        environs: The variables given with each command.
    """

    results: Mapping[str, Result] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=lambda: PROGRAMS)
    commands: list[str] = field(default_factory=list)
    environs: list[Mapping[str, str]] = field(default_factory=list)

    def capture(self, command: Sequence[str], environ: Mapping[str, str]) -> Result:
        if command[0].startswith("/") and command[0] not in self.programs.values():
            raise FileNotFoundError(command[0])
        words = " ".join([Path(command[0]).name, *command[1:]])
        self.commands.append(words)
        self.environs.append(environ)
        results = {**HEALTHY, **self.results}
        longest = max((start for start in results if words.startswith(start)), key=len, default="")
        return results.get(longest, Result(0))

    def show(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        return self.capture(command, environ).code

    def relay(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        write_line: Callable[[str], None],
        _interruption: Interruption,
    ) -> int:
        done = self.capture(command, environ)
        for line in done.stdout.splitlines():
            write_line(line)
        return done.code

    def which(self, program: str) -> str | None:
        return self.programs.get(program)

    @property
    def changing(self) -> list[str]:
        """The commands so far that change something, without ``--stack``."""
        kinds = (
            "docker pull",
            "pulumi plugin install",
            "pulumi stack select",
            "pulumi config set",
            "pulumi refresh",
            "pulumi up",
            "pulumi destroy",
        )
        return [
            words.partition(" --stack")[0] for words in self.commands if words.startswith(kinds)
        ]
