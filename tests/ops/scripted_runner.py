"""Stands in for the programs that the stack commands start, and remembers what was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ops.system.runner import Result

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
    "pulumi version": Result(0, "v3.272.0\n"),
    "pulumi whoami": Result(255, "", "error: PULUMI_ACCESS_TOKEN must be set for login"),
    "pulumi stack output": Result(0, "{}"),
    "pulumi stack export": Result(0, '{"deployment": {}}'),
}


@dataclass
class ScriptedRunner:
    """Answers by the first words of a command; anything else succeeds without a word.

    Attributes:
        answers: What commands give, by their beginning; these come before the healthy ones.
        programs: What is on PATH.
        asked: Every command so far, with the program's bare name.
        environs: The variables given with each of them.
    """

    answers: Mapping[str, Result] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=lambda: PROGRAMS)
    asked: list[str] = field(default_factory=list)
    environs: list[Mapping[str, str]] = field(default_factory=list)

    def capture(self, command: Sequence[str], environ: Mapping[str, str]) -> Result:
        if command[0].startswith("/") and command[0] not in self.programs.values():
            raise FileNotFoundError(command[0])
        words = " ".join([Path(command[0]).name, *command[1:]])
        self.asked.append(words)
        self.environs.append(environ)
        answers = {**HEALTHY, **self.answers}
        longest = max((start for start in answers if words.startswith(start)), key=len, default="")
        return answers.get(longest, Result(0))

    def show(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        return self.capture(command, environ).code

    def which(self, program: str) -> str | None:
        return self.programs.get(program)

    @property
    def changing(self) -> list[str]:
        """The commands so far that change something, without their --stack."""
        kinds = (
            "docker pull",
            "pulumi install",
            "pulumi stack select",
            "pulumi config set",
            "pulumi refresh",
            "pulumi up",
            "pulumi destroy",
        )
        return [words.partition(" --stack")[0] for words in self.asked if words.startswith(kinds)]
