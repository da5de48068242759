"""The coding agents: how each is configured for the proxy, and run without a terminal.

npm locks the packages of all systems. Newer releases of Qwen Code, and OpenCode, couldn't be locked
completely: OpenCode's package for Linux is used, so the tests need Linux on x86-64.
"""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "node" / "node_modules"
# Seconds: agents are large programs, and the machine may be busy.
_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Agent:
    """One agent.

    Attributes:
        command: Its command line, given a model and a prompt.
        variables: Its environment, given the proxy's URL and a model.
        files: What it reads from its home folder, given the proxy's URL and a model.
        tool: The tool of its own that reads a file.
        arguments: What the tool is called with, given the file.
        path: Where it sends its conversations.
    """

    command: Callable[[str, str], list[str]]
    variables: Callable[[str, str], dict[str, str]]
    files: Callable[[str, str], dict[str, str]]
    tool: str
    arguments: Callable[[Path], Mapping[str, object]]
    path: str

    def run(self, folder: Path, url: str, model: str, prompt: str) -> str:
        """Run it in ``folder`` with a home of its own, and return what it prints."""
        home = folder / "home"
        for name, text in self.files(url, model).items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")
        work = folder / "work"
        finished = subprocess.run(
            self.command(model, prompt),
            cwd=work,
            env={"PATH": os.environ["PATH"], "HOME": str(home)} | self.variables(url, model),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout


def _nothing(_url: str, _model: str) -> dict[str, str]:
    return {}


def _claude_code(model: str, prompt: str) -> list[str]:
    script = MODULES / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
    allowed = ("--allowedTools", "Bash(cat:*)")
    return ["node", str(script), "--print", prompt, "--model", model, *allowed]


def _claude_code_variables(url: str, _: str) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": "any",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }


def _codex(model: str, prompt: str) -> list[str]:
    # Its sandbox needs namespaces, which containers often don't have.
    free = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    oss = ("--oss", "--local-provider", "ollama", "-c", "analytics.enabled=false")
    return [str(MODULES / ".bin" / "codex"), "exec", *oss, "-m", model, *free, prompt]


def _copilot(_: str, prompt: str) -> list[str]:
    return [str(MODULES / ".bin" / "copilot"), "--allow-all-tools", "-p", prompt]


def _copilot_variables(url: str, model: str) -> dict[str, str]:
    return {
        "COPILOT_PROVIDER_BASE_URL": f"{url}/v1",
        "COPILOT_PROVIDER_WIRE_API": "responses",
        "COPILOT_MODEL": model,
        "COPILOT_OFFLINE": "true",
    }


def _qwen_code(_: str, prompt: str) -> list[str]:
    return [str(MODULES / ".bin" / "qwen"), "--auth-type", "openai", "-p", prompt]


def _opencode(model: str, prompt: str) -> list[str]:
    # The package for this system; that for all would put it in place with a script.
    program = MODULES / "opencode-linux-x64" / "bin" / "opencode"
    return [str(program), "run", "-m", f"ollama/{model}", prompt]


def _opencode_files(url: str, model: str) -> dict[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1"},
        "models": {model: {}},
    }
    return {".config/opencode/opencode.json": json.dumps({"provider": {"ollama": provider}})}


def _continue(_: str, prompt: str) -> list[str]:
    return [str(MODULES / ".bin" / "cn"), "--config", "../home/config.yaml", "--auto", "-p", prompt]


def _continue_files(url: str, model: str) -> dict[str, str]:
    local: dict[str, object] = {"name": "Local", "provider": "ollama", "model": model}
    local |= {"apiBase": url, "capabilities": ["tool_use"]}
    config = {"name": "local", "version": "0.0.1", "schema": "v1", "models": [local]}
    return {"config.yaml": json.dumps(config)}  # which is YAML, too


AGENTS = {
    "claude-code": Agent(
        _claude_code,
        _claude_code_variables,
        _nothing,
        "Bash",
        lambda file: {"command": f"cat {file}", "description": "Read it"},
        "/v1/messages",
    ),
    "codex": Agent(
        _codex,
        lambda url, _: {"CODEX_OSS_BASE_URL": f"{url}/v1"},
        _nothing,
        "exec_command",
        lambda file: {"cmd": f"cat {file}"},
        "/v1/responses",
    ),
    "copilot": Agent(
        _copilot,
        _copilot_variables,
        _nothing,
        "view",
        lambda file: {"path": str(file)},
        "/v1/responses",
    ),
    "qwen-code": Agent(
        _qwen_code,
        lambda url, model: {
            "OPENAI_BASE_URL": f"{url}/v1",
            "OPENAI_API_KEY": "any",
            "OPENAI_MODEL": model,
        },
        lambda _, __: {
            ".qwen/settings.json": json.dumps({"privacy": {"usageStatisticsEnabled": False}})
        },
        "read_file",
        lambda file: {"absolute_path": str(file)},
        "/v1/chat/completions",
    ),
    "continue": Agent(
        _continue,
        lambda _, __: {"CONTINUE_TELEMETRY_ENABLED": "0"},
        _continue_files,
        "Read",
        lambda file: {"filepath": str(file)},
        "/v1/chat/completions",
    ),
    "opencode": Agent(
        _opencode,
        lambda _, __: {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_MODELS_FETCH": "1"},
        _opencode_files,
        "read",
        lambda file: {"filePath": str(file)},
        "/v1/chat/completions",
    ),
}
