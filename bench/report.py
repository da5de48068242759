"""The results as a table and as JSON."""

from dataclasses import asdict

from bench.guard import ratios
from bench.memory import Memory
from bench.subjects import DIRECT, NGINX
from bench.summary import Figure, Quantity, Run, figure
from bench.targets import targets

_UNITS = {"unary": "requests/s", "burst": "chunks/s", "paced": "chunks/s", "first": "chunks/s"}
_COLUMNS = (
    ("", 24),
    ("rate", 26),
    ("x nginx", 9),
    ("CPU us each", 24),
    ("its core", 10),
    ("first chunk, added ms", 24),
    ("chunk delay us", 20),
    ("load + engine", 13),
)


def to_table(run: Run, memory: Memory | None, machine: dict[str, object]) -> str:
    """Return the medians, with the lowest and the highest repetition in brackets."""
    lines = [f"{key}: {value}" for key, value in machine.items()]
    for kind, connections in run.cells():
        lines += ["", *_cell(run, kind, connections)]
    lines += ["", "Lost, reordered or refused: " + str(run.faults())]
    if memory is not None:
        lines += ["", f"{memory}"]
    lines += ["", "Targets (median [lowest .. highest of the repetitions])"]
    lines += [str(target) for target in targets(run, memory)]
    return "\n".join(lines) + "\n"


def _cell(run: Run, kind: str, connections: int) -> list[str]:
    head = "".join(title.ljust(width) for title, width in _COLUMNS)
    lines = [f"{kind}, {connections} connections, {_UNITS[kind]}", f"  {head}"]
    for subject in run.subjects():
        cell, nginx, direct = ((s, kind, connections) for s in (subject, NGINX, DIRECT))
        rate = run.figure(cell, "rate")
        if rate is None:
            continue
        lines.append(
            f"  {subject:<24}{rate!s:<26}{_median(run.ratio(cell, nginx, 'rate')):<9}"
            f"{run.figure(cell, 'cpu_us')!s:<24}{_busy(run, cell):<10}"
            f"{_added(run, cell, direct):<24}{_delays(run, cell):<20}{_load_core(run, cell)}"
        )
    return lines


def _busy(run: Run, cell: tuple[str, str, int]) -> str:
    """Return the share of its core that a subject used."""
    rates, costs = run.values(cell, "rate"), run.values(cell, "cpu_us")
    shares = [rate * cost / 1e6 for rate, cost in zip(rates, costs, strict=True)]
    return f"{figure(shares).median:.0%}"


def _load_core(run: Run, cell: tuple[str, str, int]) -> str:
    """Return the shares of the other core that the load and the engine used."""
    quantities: tuple[Quantity, Quantity] = ("generator_cpu", "engine_cpu")
    found = [run.figure(cell, quantity) for quantity in quantities]
    return " + ".join(f"{f.median:.0%}" for f in found if f)


def _median(figure: Figure | None) -> str:
    return f"{figure.median:.2f}" if figure else ""


def _added(run: Run, cell: tuple[str, str, int], direct: tuple[str, str, int]) -> str:
    quantities: tuple[Quantity, Quantity] = ("first_p50_us", "first_p99_us")
    found = [run.added(cell, direct, quantity) for quantity in quantities]
    return " / ".join(f"{f.median / 1000:+.2f}" for f in found if f) if cell[1] != "burst" else ""


def _delays(run: Run, cell: tuple[str, str, int]) -> str:
    if cell[1] == "burst":
        return ""
    quantities: tuple[Quantity, Quantity] = ("delay_p50_us", "delay_p99_us")
    found = [run.figure(cell, quantity) for quantity in quantities]
    return " / ".join(f"{f.median:.0f}" for f in found if f)


def to_json(run: Run, memory: Memory | None, machine: dict[str, object]) -> dict[str, object]:
    """Return all samples and everything that is computed from them."""
    return {
        "machine": machine,
        "guarded_ratios": ratios(run),
        "targets": [asdict(target) | {"met": target.met} for target in targets(run, memory)],
        "memory": asdict(memory) if memory else None,
        "faults": run.faults(),
        "samples": [sample.as_json() for sample in run.samples],
    }
