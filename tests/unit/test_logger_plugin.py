import logging
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from snakemake_logger_plugin_snakefold import LogHandler

LIBRARY = Path(__file__).resolve().parents[2] / "workflow"


class TestPlugin(TestLogHandlerBase):
    """The tests that Snakemake has for such plug-ins."""

    __test__ = True

    def get_log_handler_cls(self):
        return LogHandler

    def get_log_handler_settings(self):
        return None


@pytest.fixture
def handler(monkeypatch):
    monkeypatch.setattr(LogHandler, "chosen", None)
    return LogHandler(MockOutputSettings(), None)


class Watch:
    """Notes what it is given."""

    def __init__(self):
        self.taken, self.ended = [], False

    def put(self, record):
        self.taken.append(record.msg)

    def end(self, status):
        self.taken.append(status)
        self.ended = True


def test_it_is_like_snakemakes_own_until_there_is_a_watch_and_after_its_end(handler, capsys):
    handler.plain.setStream(sys.stderr)
    records = [logging.LogRecord("x", logging.INFO, "x.py", 1, f"message {i}", None, None) for i in range(3)]
    handler.emit(records[0])
    handler.watch = watch = Watch()
    handler.emit(records[1])
    handler.close()
    handler.emit(records[2])
    assert watch.taken == ["message 1", "aborted"]
    said = capsys.readouterr().err
    assert "message 0" in said and "message 1" not in said and "message 2" in said
    assert LogHandler.chosen is handler


def test_importing_it_imports_nothing_of_snakefold():
    code = "import sys, snakemake_logger_plugin_snakefold; sys.exit('snakefold' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(LIBRARY)})


def test_the_package_has_it():
    import tomllib

    project = tomllib.loads((LIBRARY.parent / "pyproject.toml").read_text())
    assert "snakemake_logger_plugin_snakefold" in project["tool"]["setuptools"]["packages"]["find"]["include"]
