"""The setting that chooses how the daemon speaks."""

from pathlib import Path

import pytest

from lnrecur.daemon.bootstrap import run_daemon
from lnrecur.daemon.config import Home, ProcessRole, Settings, load_settings
from lnrecur.daemon.files import create_home
from lnrecur.errors import UsageError


def test_a_plugin_has_no_dummy_hops(tmp_path: Path) -> None:
    home = Home.find(tmp_path)
    with pytest.raises(UsageError, match="is 0 where messages is plugin") as refused:
        load_settings(home, {"messages": "plugin", "path_dummy_hops": 1})
    assert refused.value.field == "path_dummy_hops"
    assert load_settings(home, {"messages": "plugin", "http_listen": ""}).messages == "plugin"


async def test_only_a_plugin_speaks_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    home = Home.find(tmp_path)
    create_home(home)
    settings = Settings(messages="plugin", playmoney_file=str(tmp_path / "money"))
    with pytest.raises(UsageError, match="only inside Core Lightning: start lnrecur-cln there"):
        await run_daemon(home, settings, ProcessRole.ALL, lambda line: None)
