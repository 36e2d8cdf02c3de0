"""Campaign files: YAML or JSON, one campaign a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.console import Exit, fail


def load(path: Path) -> Mapping[str, Any]:
    """The document in the file. Ends with a sentence where there is none."""
    from ruamel.yaml.error import YAMLError  # here: `--help` should not wait for it

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        fail(Exit.USAGE, f"{path}: {error.strerror}. Give the path of a campaign file")
    except UnicodeDecodeError:
        fail(Exit.INVALID, f"{path}: is not UTF-8 text. Save it as UTF-8")
    try:
        document = _reader().load(text)
    except YAMLError as error:
        fail(Exit.INVALID, f"{path}: is not YAML: {error}")
    if not isinstance(document, Mapping):
        fail(Exit.INVALID, f"{path}: holds {type(document).__name__}, not a campaign. Write `field: value` lines")
    return {str(name): value for name, value in document.items()}


def _reader() -> Any:
    """YAML with dates left as they are written: one that does not exist is told with its path, as every other value is."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import SafeConstructor

    class Constructor(SafeConstructor):
        pass

    Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = Constructor
    return yaml
