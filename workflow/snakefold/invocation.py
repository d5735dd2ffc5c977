"""What a command is asked about: the Snakefile of this folder, the workflow's keys, the arguments for Snakemake."""

import sys
from importlib.util import find_spec
from pathlib import Path

from snakefold.errors import UserError
from snakefold.installation import SNAKEFILE

CONFIG = Path("config/config.yaml")


def asked(circuit: str | None, arguments: tuple[str, ...]) -> tuple[Path, dict, tuple[str, ...]]:
    """Return the Snakefile, the workflow's keys and the arguments of Snakemake, the first of which click took apart.

    Raises
    ------
    UserError : Snakemake is not installed here, or config/config.yaml cannot be read
    """
    if find_spec("snakemake") is None:
        raise UserError("has no Snakemake; activate the environment of `make setup`", where=sys.executable)
    if circuit is not None and circuit.startswith("-"):
        circuit, arguments = None, (circuit, *arguments)
    return snakefile(), keys(circuit, arguments), arguments


def snakefile() -> Path:
    """Return the Snakefile of this folder, or else Snakefold's own."""
    here = Path("Snakefile")
    return here if here.is_file() else SNAKEFILE


def circuit_of_project() -> str:
    """Return the circuit that config/config.yaml of this folder names.

    Raises
    ------
    UserError : there is no such file or key
    """
    circuit = keys().get("circuit") if CONFIG.is_file() else None
    if not isinstance(circuit, str):
        raise UserError("names no circuit; say which: snakefold check CIRCUIT", where=str(CONFIG))
    return circuit


def keys(circuit: str | None = None, arguments: tuple[str, ...] = ()) -> dict:
    """Return the workflow's keys: those of config/config.yaml, then those given with --config, then the circuit.

    Raises
    ------
    UserError : config/config.yaml cannot be read
    """
    import yaml

    file = next((f for f in (CONFIG, snakefile().parent / CONFIG) if f.is_file()), None)
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8")) or {} if file else {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"cannot be read: {error}", where=str(file)) from error
    if not isinstance(config, dict):
        raise UserError(f"should be: a mapping (got: {config!r:.60})", where=str(file))
    if "--config" in arguments or "-C" in arguments:
        at = arguments.index("--config" if "--config" in arguments else "-C")
        for setting in arguments[at + 1 :]:
            key, equals, value = setting.partition("=")
            if not equals or key.startswith("-"):
                break
            config[key] = yaml.safe_load(value)
    if circuit is not None:
        config["circuit"] = circuit
    return config


def as_arguments(keys: dict) -> list[str]:
    """Return the workflow's keys as arguments of --config."""
    return [f"{key}={value}" for key, value in keys.items() if value is not None]
