"""Grafana's way from a panel's query to the SQL that the database sees, for tests.

Variables first (``${name:sqlstring}`` and the interval), then the macros of the PostgreSQL data source, as far as our
dashboards use them; anything else with a ``$`` is an error. Source: Grafana's documentation of both, and the data
source's macro engine (``grafana-postgresql-datasource``), whose patterns end a macro at the first closing bracket.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_VARIABLE = re.compile(r"\$\{(\w+):sqlstring\}")
_MACRO = re.compile(r"\$(__\w+)\(([^)]*)\)")


@dataclass(frozen=True)
class View:
    """What a person looks at: the time range, the width of a point, and the variables' values."""

    from_ns: int
    to_ns: int
    interval_ms: int
    variables: Mapping[str, Sequence[str]]

    def expand(self, sql: str) -> str:
        """Return what Grafana sends."""
        sql = _VARIABLE.sub(lambda found: self._quoted(found[1]), sql)
        sql = sql.replace("$__interval_ms", str(self.interval_ms))
        sql = _MACRO.sub(lambda found: self._macro(found[1], found[2].strip()), sql)
        if "$" in sql:
            raise ValueError(f"Grafana knows no such variable or macro: {sql[sql.index('$') :][:40]!r}")
        return sql

    def _quoted(self, name: str) -> str:
        return ",".join("'" + value.replace("'", "''") + "'" for value in self.variables[name])

    def _macro(self, name: str, argument: str) -> str:
        match name:
            case "__unixEpochNanoFilter":
                return f"{argument} >= {self.from_ns} AND {argument} <= {self.to_ns}"
            case "__unixEpochNanoFrom":
                return str(self.from_ns)
            case "__unixEpochNanoTo":
                return str(self.to_ns)
            case _:
                raise ValueError(f"Grafana's PostgreSQL data source has other macros than ${name}")
