"""``docs/settings.md`` has every setting, with its name in the environment, its default and its description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from headrace.settings import Settings, load_settings
from tests.docs.generated import DOCS, check

PAGE = DOCS / "settings.md"
FOLDERS = {"home": "~/.local/share/headrace/home", "engine_store": "~/.local/share/headrace/engines"}
"""Defaults that depend on the machine, as they are where XDG_DATA_HOME is not set."""


def shown_default(name: str, field: FieldInfo) -> str:
    if name in FOLDERS:
        return f"`{FOLDERS[name]}`"
    if field.default is None:
        return "–"
    if isinstance(field.default, float):
        return f"`{field.default:g}`"
    return f"`{json.dumps(field.default).strip(chr(34))}`"


def shown_range(field: FieldInfo) -> str:
    limits: dict[str, object] = {}
    for rule in field.metadata:
        match rule:
            case Ge(ge=limit):
                limits["from"] = limit
            case Gt(gt=limit):
                limits["more than"] = limit
            case Le(le=limit):
                limits["to"] = limit
            case _:
                pytest.fail(f"docs/settings.md cannot show the rule {rule}")
    return " ".join(f"{word} {limit}" for word, limit in limits.items())


def rows() -> Iterator[str]:
    yield "| setting | environment | default | range | what it is |"
    yield "|---|---|---|---|---|"
    for name, field in Settings.model_fields.items():
        assert field.description, f"{name} has no description"
        what = field.description.replace("|", "\\|")
        yield (
            f"| `{name}` | `HEADRACE_{name.upper()}` | {shown_default(name, field)} | {shown_range(field)} | {what} |"
        )


def test_every_setting_has_its_row() -> None:
    check(PAGE, "\n".join(rows()) + "\n")


def test_the_folders_are_below_the_users_data(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HEADRACE_HOME", "HEADRACE_ENGINE_STORE", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    settings = load_settings()
    for name, folder in FOLDERS.items():
        assert getattr(settings, name) == Path(folder).expanduser()
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert load_settings().home == Path("/data/headrace/home")


def test_the_example_file_is_read_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_MEMORY_PER_CU_MB", raising=False)
    monkeypatch.delenv("HEADRACE_ENGINE_ALIASES", raising=False)
    example = PAGE.read_text("utf-8").split("```toml\n")[1].split("```")[0]
    (tmp_path / "headrace.toml").write_text(example)
    settings = load_settings(tmp_path)
    assert settings.memory_per_cu_mb == 2048
    assert settings.engine_aliases == {"1.12": "1.17", "1.15": "1.17"}
    monkeypatch.setenv("HEADRACE_MEMORY_PER_CU_MB", "1024")
    monkeypatch.setenv("HEADRACE_ENGINE_ALIASES", '{"1.14": "1.17", "1.15": "1.20"}')
    assert load_settings(tmp_path).memory_per_cu_mb == 1024
    assert load_settings(tmp_path).engine_aliases == {"1.12": "1.17", "1.14": "1.17", "1.15": "1.20"}
    assert load_settings(tmp_path, port=1).port == 1
