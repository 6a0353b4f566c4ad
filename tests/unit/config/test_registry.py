"""The registry of connectors: listing imports nothing, a broken plug-in hurts only who names it."""

import sys
from pathlib import Path

import pytest

from bridge.api import ConfigurationError
from bridge.config import registry
from bridge.testing.doubles import MemorySink


class Site:
    """A directory on `sys.path` that distributions are put into by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(
        self, name: str, points: dict[str, str], *, requires: str = "", modules: dict[str, str] | None = None
    ) -> None:
        """`points`: "group name" -> target. `requires`: further lines of METADATA. `modules`: name -> source."""
        info = self.path / f"{name.replace('-', '_')}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n{requires}")
        lines = []
        for key, target in points.items():
            group, point = key.split()
            lines += [f"[bridge.{group}]", f"{point} = {target}"]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, text in (modules or {}).items():
            (self.path / f"{module}.py").write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Site(tmp_path)


def test_lists_our_own_connectors_with_role_and_origin() -> None:
    listed = {(c.role, c.name): c for c in registry.connectors().connectors}
    journal = listed["message_sink", "journal"]
    assert (journal.distribution, journal.side) == ("multicast-bridge", "sink")
    assert ("datagram_source", "multicast") in listed
    assert ("store", "journal") in listed


def test_listing_imports_nothing(site: Site) -> None:
    site.install(
        "bomb", {"message_sinks bomb": "bomb_module:Sink"}, modules={"bomb_module": "raise SystemExit('imported')"}
    )
    assert "bomb" in [c.name for c in registry.connectors().connectors]
    assert "bomb_module" not in sys.modules


def test_loads_the_class_by_role_and_name(site: Site) -> None:
    site.install("extra", {"message_sinks memory": "bridge.testing.doubles:MemorySink"})
    assert registry.load("message_sink", "memory") is MemorySink
    assert registry.find("sink", "memory").role == "message_sink"


def test_unknown_name_suggests_and_lists_what_is_installed() -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.find("sink", "jurnal", key="sink.archive.type")
    assert caught.value.message == "no sink is called 'jurnal'"
    assert caught.value.key == "sink.archive.type"
    assert caught.value.hint.startswith("did you mean 'journal'? installed: ")
    assert "multicast" in caught.value.hint


def test_a_name_of_another_role_is_said_to_be_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.load("datagram_sink", "stdout")
    assert caught.value.message == "no datagram sink is called 'stdout'"
    assert "'stdout' is a message sink" in caught.value.hint


def test_the_extra_that_brings_a_missing_library_is_named(site: Site) -> None:
    site.install(
        "frob-bridge",
        {"message_sinks frob": "frob_module:Sink"},
        requires="Provides-Extra: client\nProvides-Extra: dev\n"
        'Requires-Dist: frob-lib>=2; extra == "dev"\nRequires-Dist: frob-lib>=2.6 ; extra == "client"\n',
        modules={"frob_module": "import frob_lib.inner\n"},
    )
    with pytest.raises(ConfigurationError) as caught:
        registry.load("message_sink", "frob")
    assert "needs the module 'frob_lib'" in caught.value.message
    assert caught.value.hint == "pip install 'frob-bridge[client]'"


def test_our_own_extras_are_found_by_the_library(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    (site.path / "wants_kafka.py").write_text("import confluent_kafka\n")
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    connector = registry.Connector("message_sink", "other", "wants_kafka:Sink", "multicast-bridge", "0")
    with pytest.raises(ConfigurationError) as caught:
        registry.load_connector(connector)
    assert caught.value.hint == "pip install 'multicast-bridge[kafka]'"


def test_a_missing_module_without_an_extra_is_still_a_sentence(site: Site) -> None:
    site.install("lonely", {"stores lonely": "module_that_is_not_there:Store"})
    with pytest.raises(ConfigurationError, match=r"message store .lonely. of lonely 1\.5 needs the module"):
        registry.load("store", "lonely")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('went wrong')", "RuntimeError: went wrong"),
        ("def Sink(", "SyntaxError"),
        ("", "AttributeError"),
        ("class Sink: pass", "lacks capabilities, columns, open, limits, submit, close"),
    ],
)
def test_a_broken_plug_in_is_named_and_the_rest_survives(site: Site, source: str, reason: str) -> None:
    name = f"broken_plug_in_{len(source)}"
    site.install("bad-plug-in", {"message_sinks bad": f"{name}:Sink"}, modules={name: source})
    site.install("good-plug-in", {"message_sinks good": "bridge.testing.doubles:MemorySink"})
    with pytest.raises(ConfigurationError) as caught:
        registry.load("message_sink", "bad")
    assert "message sink 'bad' of bad-plug-in 1.5" in caught.value.message
    assert reason in caught.value.message
    loaded, warnings = registry.load_all()
    assert "good" in [entry.connector.name for entry in loaded]
    assert [w for w in warnings if "bad-plug-in" in w]


def test_of_two_with_one_name_ours_is_used_and_both_are_named(site: Site) -> None:
    site.install("aaa-first", {"message_sinks journal": "bridge.testing.doubles:MemorySink"})
    listing = registry.connectors()
    assert registry.find("sink", "journal").distribution == "multicast-bridge"
    assert [w for w in listing.warnings if "aaa-first" in w and "the one of multicast-bridge is used" in w]


def test_every_connector_of_ours_can_be_loaded() -> None:
    ours = [c for c in registry.connectors().connectors if c.distribution == registry.OWN]
    assert {c.name for c in ours} >= {"multicast", "journal", "stdout"}
    for connector in ours:
        assert registry.load_connector(connector).options.model_config["extra"] == "forbid"
