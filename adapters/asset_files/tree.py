"""What a file says, as text with its place, before anybody decides what it means.

YAML's guesses are left out on purpose: a bearing ``6205`` is a designation, an id ``0101`` no octal number, ``no`` no
boolean. Every scalar stays the text it is until the field it belongs to says what it must be. Aliases and repeated keys
are refused, so a file means what it seems to mean and can't unfold into more than it is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import yaml

from contracts.errors import ConfigurationError

#: Larger files are refused before they are parsed (bytes).
MAX_FILE_BYTES: Final = 8 * 1024 * 1024

_MAX_DEPTH: Final = 32
_LOADER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_OPENING: Final = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSING: Final = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)

Value = str | list["Node"] | dict[str, "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value with its file, line and path; the path reads like ``assets[0].points[1].direction``."""

    file: str
    line: int
    path: str
    value: Value

    def refuse(self, problem: str) -> NoReturn:
        """Raise a ``ConfigurationError`` that names the place."""
        raise ConfigurationError(f"{self.file}:{self.line}: {self.path or 'the file'}: {problem}")

    def mapping(self) -> dict[str, "Node"]:
        """Return the value as a mapping, or refuse it."""
        if not isinstance(self.value, dict):
            self.refuse(f"{self._kind()} found, a mapping is needed")
        return self.value

    def items(self) -> list["Node"]:
        """Return the value as a list, or refuse it."""
        if not isinstance(self.value, list):
            self.refuse(f"{self._kind()} found, a list is needed")
        return self.value

    def text(self) -> str:
        """Return the value as text, or refuse it."""
        if not isinstance(self.value, str):
            self.refuse(f"{self._kind()} found, a single value is needed")
        return self.value

    def _kind(self) -> str:
        if isinstance(self.value, dict):
            return "a mapping"
        return "a list" if isinstance(self.value, list) else f"{self.value[:60]!r}"


def read_text(path: Path) -> str:
    """Return a file's text.

    Parameters
    ----------
    path : Path
        UTF-8, with or without byte order mark.

    Returns
    -------
    text : str
        What it holds.

    Raises
    ------
    ConfigurationError
        If the file is missing, too large or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path}: over {MAX_FILE_BYTES} bytes, the largest file that is read")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: no UTF-8 at byte {error.start}") from None


def read_yaml(path: Path) -> Node:
    """Return the one document in a YAML file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    root : Node
        Mappings, lists and text; nothing else is ever built.

    Raises
    ------
    ConfigurationError
        If the file can't be read, isn't YAML, repeats a key, or uses an alias.
    """
    text = read_text(path)
    try:
        _scan(text, path)
        root = yaml.compose(text, Loader=_LOADER)
        if root is None:
            raise ConfigurationError(f"{path}: the file is empty")
        return _node(root, str(path), "")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{path}:{line}: no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: no YAML: {error}".splitlines()[0]) from None


def _scan(text: str, path: Path) -> None:
    """Refuse what could unfold or nest without end, before anything is built from it."""
    depth = 0
    for token in yaml.scan(text, Loader=_LOADER):
        place = f"{path}:{token.start_mark.line + 1}"
        if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
            raise ConfigurationError(f"{place}: anchors and aliases aren't allowed")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > _MAX_DEPTH:
            raise ConfigurationError(f"{place}: nested over {_MAX_DEPTH} levels deep")


def _node(node: yaml.Node, file: str, path: str) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return Node(file, line, path, [_node(item, file, f"{path}[{n}]") for n, item in enumerate(node.value)])
    if not isinstance(node, yaml.MappingNode):
        return Node(file, line, path, str(node.value))
    children: dict[str, Node] = {}
    for key, value in node.value:
        place = f"{path}.{key.value}" if path else str(key.value)
        child = _node(value, file, place)
        if not isinstance(key, yaml.ScalarNode):
            child.refuse("a key must be a single value")
        if key.value in children:
            child.refuse("the key occurs twice")
        children[key.value] = child
    return Node(file, line, path, children)
