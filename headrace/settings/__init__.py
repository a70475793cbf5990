"""One frozen, validated settings object. Environment ``HEADRACE_<FIELD>`` wins over ``<home>/headrace.toml``.

Its fields are in one module per family, each with its own checks.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from pydantic import SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from headrace.settings.edge import EdgeSettings
from headrace.settings.identity import IdentitySettings
from headrace.settings.machine import MachineSettings, data_home
from headrace.settings.notices import NoticeSettings
from headrace.settings.objects import ObjectSettings


# Fields come from the last base to the first, which is their order in docs/settings.md.
class Settings(NoticeSettings, IdentitySettings, EdgeSettings, ObjectSettings, MachineSettings, BaseSettings):
    """Everything an operator can set. Sizes in MB are 1024 * 1024 bytes; times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True, extra="forbid", hide_input_in_errors=True)

    @classmethod
    def tellable(cls) -> frozenset[str]:
        """Names of the settings whose values may be shown."""
        return frozenset(
            name for name, field in cls.model_fields.items() if SecretStr not in get_args(field.annotation)
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then ``<home>/headrace.toml``."""
        del dotenv_settings, file_secret_settings
        home = init_settings().get("home") or env_settings().get("home") or data_home() / "home"
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(str(home)) / "headrace.toml")


def load_settings(home: Path | None = None, **overrides: object) -> Settings:
    """The settings in force; ``overrides`` (from the command line) win over environment and file.

    Raises:
        pydantic.ValidationError: a value is out of range or a name is unknown.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    if home is not None:
        given["home"] = home
    return Settings(**given)  # type: ignore[arg-type]
