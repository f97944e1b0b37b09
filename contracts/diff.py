"""Tell whether the schemas still read what the released ones wrote, and name every change that breaks it.

Compatibility is BACKWARD, the registry's setting, plus two rules of our own. A field with no default isn't removed,
because subscribers on the old schema would fail. And a released file keeps its form, because bytes under its bundled id
are read with it for ever: a changed record is the next version, ``<name>.v2.avsc``, under a new id. Run as
``python -m contracts.diff [--against DIRECTORY_OR_REVISION]``; exit status 1 means a breaking change.
"""

import argparse
import itertools
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from contracts.codec import SCHEMA_FOLDER

RELEASED: Final = SCHEMA_FOLDER / "released"
_VERSIONED: Final = re.compile(r"(?P<record>\w+)\.v(?P<version>\d+)\.avsc")
#: Writer's type → reader's types that Avro promotes it to.
_PROMOTIONS: Final = {"int": {"long", "float", "double"}, "long": {"float", "double"}, "float": {"double"}}
#: Where the types that hold others name them.
_INNER: Final = {"array": "items", "map": "values"}

_Schema = Any  # a JSON value: a name, a union's list, or an object


def breaking_changes(old: Mapping[str, _Schema], new: Mapping[str, _Schema]) -> list[str]:
    """Return what the new schemas break, one line each.

    Parameters
    ----------
    old, new : mapping of str to schema
        Schemas as parsed JSON, by file name.

    Returns
    -------
    changes : list of str
        Place and change; empty where everything written before can still be read.

    Examples
    --------
    >>> tick = {"type": "record", "name": "Tick", "fields": [{"name": "epoch", "type": "long"}]}
    >>> without = {"type": "record", "name": "Tick", "fields": []}
    >>> breaking_changes({"tick": tick}, {"tick": without})
    ['Tick.epoch: removed, and it had no default']
    """
    changes: list[str] = []
    for file, schema in old.items():
        if file in new:
            changes += _compare(schema["name"], _inline(schema, {}), _inline(new[file], {}))
        else:
            changes.append(f"{file}: schema removed")
    return list(dict.fromkeys(changes))  # a type that occurs in several places is named once


def altered(old: Mapping[str, _Schema], new: Mapping[str, _Schema]) -> list[str]:
    """Return which released schemas no longer have the form they were released with, one line each.

    Parameters
    ----------
    old, new : mapping of str to schema
        Schemas as parsed JSON, by file name.

    Returns
    -------
    changes : list of str
        Other words in ``doc`` are no change.

    Examples
    --------
    >>> tick = {"type": "record", "name": "Tick", "fields": []}
    >>> altered({"tick.v1.avsc": tick}, {"tick.v1.avsc": {**tick, "name": "Tock"}})
    ['tick.v1.avsc: altered after its release; a change is a new version under a new id']
    """
    return [
        f"{file}: altered after its release; a change is a new version under a new id"
        for file, schema in old.items()
        if file in new and _form(schema) != _form(new[file])
    ]


def breaks_between_versions(schemas: Mapping[str, _Schema]) -> list[str]:
    """Return what each version of a record breaks of the version before it, one line each.

    Parameters
    ----------
    schemas : mapping of str to schema
        Schemas as parsed JSON, by file name: ``<record>.v<version>.avsc``.

    Returns
    -------
    changes : list of str
        The newer file, place and change.

    Examples
    --------
    >>> old = {"type": "record", "name": "Tick", "fields": []}
    >>> new = {**old, "fields": [{"name": "leap_s", "type": "int"}]}
    >>> breaks_between_versions({"tick.v1.avsc": old, "tick.v2.avsc": new})
    ['tick.v2.avsc: Tick.leap_s: added without a default']
    """
    versions: dict[str, list[tuple[int, str]]] = {}
    for file in schemas:
        found = _VERSIONED.fullmatch(file)
        if found is not None:
            versions.setdefault(found["record"], []).append((int(found["version"]), file))
    return [
        f"{newer}: {change}"
        for files in versions.values()
        for (_, older), (_, newer) in itertools.pairwise(sorted(files))
        for change in breaking_changes({newer: schemas[older]}, {newer: schemas[newer]})
    ]


def _form(schema: _Schema) -> _Schema:
    """Return `schema` without its texts."""
    if isinstance(schema, list):
        return [_form(one) for one in schema]
    if isinstance(schema, dict):
        return {key: _form(value) for key, value in schema.items() if key != "doc"}
    return schema


def _inline(schema: _Schema, names: dict[str, _Schema]) -> _Schema:
    """Return `schema` with every reference to a named type replaced by the type; every type as a union."""
    if isinstance(schema, list):
        return [branch for one in schema for branch in _inline(one, names)]
    if isinstance(schema, str):
        return [names.get(schema, {"type": schema})]
    whole = dict(schema)
    if whole["type"] in _INNER:
        inner = _INNER[whole["type"]]
        whole[inner] = _inline(whole[inner], names)
    elif "name" in whole:
        names[whole["name"]] = whole
        whole["fields"] = [{**f, "type": _inline(f["type"], names)} for f in whole.get("fields", ())]
    return [whole]


def _compare(place: str, old: list[_Schema], new: list[_Schema]) -> Iterator[str]:
    for branch in old:
        reader = next((other for other in new if _reads(other, branch)), None)
        if reader is None:
            yield f"{place}: {_label(branch)} became {' or '.join(map(_label, new))}"
        elif branch["type"] in _INNER:
            inner = _INNER[branch["type"]]
            yield from _compare(f"{place}[]", branch[inner], reader[inner])
        elif branch["type"] == "enum":
            gone = [symbol for symbol in branch["symbols"] if symbol not in reader["symbols"]]
            yield from (f"{branch['name']}: symbol {symbol} removed" for symbol in gone)
        elif branch["type"] == "record":
            yield from _compare_fields(branch["name"], branch["fields"], reader["fields"])


def _compare_fields(record: str, old: list[_Schema], new: list[_Schema]) -> Iterator[str]:
    before, after = {field["name"]: field for field in old}, {field["name"]: field for field in new}
    for name, field in before.items():
        if name in after:
            yield from _compare(f"{record}.{name}", field["type"], after[name]["type"])
            if "default" in field and "default" not in after[name]:
                yield f"{record}.{name}: default removed"
        elif "default" not in field:
            yield f"{record}.{name}: removed, and it had no default"
    for name, field in after.items():
        if name not in before and "default" not in field:
            yield f"{record}.{name}: added without a default"


def _reads(reader: _Schema, writer: _Schema) -> bool:
    return _label(reader) == _label(writer) or reader["type"] in _PROMOTIONS.get(writer["type"], ())


def _label(schema: _Schema) -> str:
    name = ".".join(part for part in (schema.get("namespace"), schema.get("name")) if part)
    return f"{schema['type']} {name}".rstrip()


def _read_folder(folder: pathlib.Path) -> dict[str, _Schema]:
    return {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.avsc"))}


def _read_revision(revision: str) -> dict[str, _Schema]:
    root = SCHEMA_FOLDER.parent.parent
    folder = SCHEMA_FOLDER.relative_to(root).as_posix()

    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True).stdout

    # --end-of-options: a revision is never taken for an option
    names = git("ls-tree", "--name-only", "--end-of-options", revision, f"{folder}/").splitlines()
    return {
        pathlib.PurePath(name).name: json.loads(git("show", "--end-of-options", f"{revision}:{name}"))
        for name in names
        if name.endswith(".avsc")
    }


def main(arguments: list[str]) -> int:
    """Compare and print; return the exit status.

    Parameters
    ----------
    arguments : list of str
        Command line without the program's name.

    Returns
    -------
    status : int
        0 compatible, 1 breaking changes, 2 nothing to compare with.
    """
    parser = argparse.ArgumentParser(prog="python -m contracts.diff", description="Name breaking schema changes.")
    parser.add_argument("--against", default=str(RELEASED), help="folder or git revision with the released schemas")
    against: str = parser.parse_args(arguments).against
    folder = pathlib.Path(against)
    try:
        old = _read_folder(folder) if folder.is_dir() else _read_revision(against)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{against} is neither a folder nor a revision: {error.stderr.strip()}\n")
        return 2
    if not old:
        sys.stderr.write(f"{against} holds no schemas\n")
        return 2
    new = _read_folder(SCHEMA_FOLDER)
    changes = breaking_changes(old, new) + altered(old, new) + breaks_between_versions(new)
    sys.stdout.writelines(f"{line}\n" for line in changes)
    if not changes:
        sys.stdout.write(f"{len(old)} schemas read what was written before\n")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
