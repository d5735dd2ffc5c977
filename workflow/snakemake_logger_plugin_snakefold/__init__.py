"""Snakemake's `--logger snakefold`: Snakefold's progress in place of Snakemake's messages, where a Snakefold runs.

Snakemake imports every logger plug-in that is installed, whatever workflow it runs, so nothing of Snakefold is imported
here: the workflow gives the handler its watch when a run begins, and until then the handler is like Snakemake's own.
"""

from logging import LogRecord
from typing import ClassVar

from snakemake_interface_logger_plugins.base import LogHandlerBase


class LogHandler(LogHandlerBase):
    """Snakemake's handler, until a run has a watch.

    Attributes
    ----------
    chosen : the handler that the user has chosen with --logger
    plain : a handler like Snakemake's own
    watch : takes what is logged while a run goes on
    """

    chosen: ClassVar["LogHandler | None"] = None

    def __post_init__(self) -> None:
        import sys
        from inspect import signature

        from snakemake.logging import ColorizingTextHandler, DefaultFilter, DefaultFormatter

        of = self.common_settings
        stream = sys.stdout if of.stdout else sys.stderr
        self.plain = ColorizingTextHandler(nocolor=of.nocolor, stream=stream)
        heeded = signature(DefaultFilter).parameters  # not the same in all versions
        self.plain.addFilter(DefaultFilter(**{name: getattr(of, name) for name in heeded}))
        self.plain.setFormatter(DefaultFormatter(of.quiet, of.show_failed_logs))
        self.watch = None
        type(self).chosen = self

    def emit(self, record: LogRecord) -> None:
        """Pass a record on."""
        if self.watch is not None and not self.watch.ended:
            self.watch.put(record)
        else:
            self.plain.handle(record)

    def close(self) -> None:
        """End a watch whose run was interrupted."""
        if self.watch is not None and not self.watch.ended:
            self.watch.end("aborted")
        super().close()

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False
