"""What a command is asked about: the Snakefile of this folder, the workflow's keys, the arguments for Snakemake."""

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import yaml

from snakefold.config.read import Mapping, read_file
from snakefold.errors import UserError
from snakefold.installation import SNAKEFILE

CONFIG = Path("config/config.yaml")


def asked(circuit: str | None, arguments: tuple[str, ...]) -> tuple[Path, dict, tuple[str, ...]]:
    """Return the Snakefile, the workflow's keys and the arguments of Snakemake, the first of which click took apart.

    Raises
    ------
    UserError : Snakemake is not installed here, a circuit is not the first argument, or as `keys`
    """
    if find_spec("snakemake") is None:
        raise UserError("has no Snakemake; activate the environment of `make setup`", where=sys.executable)
    if circuit is not None and circuit.startswith("-"):
        circuit, arguments = None, (circuit, *arguments)
        if later := [a for a in _settings(arguments)[1] if a.endswith((".yaml", ".yml")) and Path(a).is_file()]:
            raise UserError("the circuit should come before the options of Snakemake", where=later[0])
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
    circuit = keys().get("circuit")
    if circuit is None:
        raise UserError("names no circuit; say which: snakefold check CIRCUIT", where=str(CONFIG))
    return circuit


def keys(circuit: str | None = None, arguments: Sequence[str] = ()) -> dict:
    """Return the workflow's keys: of config/config.yaml, of --configfile, of --config (the last wins), and the circuit.

    Raises
    ------
    UserError : one of the files cannot be read, or a setting is no KEY=VALUE
    """
    settings, _ = _settings(arguments)
    config = {}
    for file in (*config_files(), *settings.configfile):
        config |= _read(file)
    for setting in settings.config:
        key, equals, value = setting.partition("=")
        try:
            config[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals:
            raise UserError(f"should be: KEY=VALUE, as in tiles=4 (got: {setting})", where="--config")
    if circuit is not None:
        config["circuit"] = circuit
    return config


def _settings(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return what is given with --config and --configfile, and the other arguments."""
    given = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    given.add_argument("--config", "-C", nargs="*", action="extend", default=[])
    given.add_argument("--configfile", "--configfiles", nargs="*", action="extend", default=[])
    return given.parse_known_args(arguments)


def config_files() -> list[str]:
    """Return the file with the workflow's keys of this folder, if there is one, for Snakemake to read.

    Raises
    ------
    UserError : it is no mapping in YAML; Snakemake's own words would name neither file nor line
    """
    if not CONFIG.exists():
        return []
    _read(str(CONFIG))
    return [str(CONFIG)]


def place_of(key: str, value: object) -> str:
    """Return `file:line` of a key with a value in config/config.yaml, or nothing where it comes from elsewhere."""
    config = _read(str(CONFIG)) if CONFIG.exists() else {}
    return str(config.marks[key]) if key in config and config[key] == value else ""


def _read(file: str) -> Mapping:
    config, _ = read_file(file)
    if not isinstance(config, Mapping):
        raise UserError(f"should be: a mapping (got: {config!r:.60})", where=file)
    return config


def as_arguments(keys: dict) -> list[str]:
    """Return the workflow's keys as arguments of --config, which Snakemake reads as they are."""
    return [f"{key}={_written(value)}" for key, value in keys.items() if value is not None]


def _written(value: object) -> str:
    """Return a value as plain text where Snakemake reads that as the same, or else as JSON.

    Plain `a: b` would be a mapping and `1e3` a number, and Snakemake takes off quotes at the ends: hence the spaces.
    """
    text = str(value)
    with contextlib.suppress(yaml.YAMLError):
        same = yaml.safe_load(text) == value and text == text.strip("\"'")
        if same and not (isinstance(value, str) and _is_number(text)):
            return text
    return f" {json.dumps(value, ensure_ascii=False)} "


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
