"""YAML in which a key occurs once; nothing in it is executed."""

from typing import Any

import yaml


def read_yaml(content: bytes | str, typed: bool = True) -> Any:
    """Content of a YAML file.

    Parameters
    ----------
    typed : whether plain values become numbers, dates and so on; otherwise all are text

    Raises
    ------
    ValueError
        It is not YAML, a value is impossible, such as the 45th day of a month, or a mapping has a
        key twice, of which YAML would take the last one silently.
    """
    base = yaml.SafeLoader if typed else yaml.BaseLoader

    class Loader(base):  # type: ignore[misc, valid-type]
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            twice = sorted({name for name in names if names.count(name) > 1 and name != "<<"})
            if twice:
                line = node.start_mark.line + 1
                raise ValueError(f"{', '.join(twice)} is given twice below line {line}")
            found: dict[Any, Any] = super().construct_mapping(node, deep)
            return found

    try:
        return yaml.load(content, Loader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error).strip() or type(error).__name__) from error
