"""Whole configurations: what they come to, and every mistake with its key, its line and its remedy."""

from pathlib import Path
from textwrap import dedent

import pytest

from bridge.config.load import load, loads
from bridge.config.problems import ConfigurationErrors, Problem
from bridge.config.resolved import (
    Config,
    DatagramSinkConfig,
    DatagramSourceConfig,
    MessageSinkConfig,
    MessageSourceConfig,
)

GOOD = """
[bridge]
name = "plant7"
[source.feed]
type = "multicast"
protocol = "native"
gap = { hold = "10ms", hold_packets = 8 }
[source.feed.channel]
one = { lines = ["239.1.1.1:5000%lo", "239.1.1.2:5000%lo"], gap = { hold = "5ms" } }
two = { lines = ["239.1.1.3:5000%lo"], id = 7 }
[source.back]
type = "journal"
path = "/j/other"
start = "earliest"
[sink.store]
type = "journal"
path = "/j/store"
max_age = "30d"
[sink.lan]
type = "multicast"
protocol = "moldudp64"
holes = "empty"
rate = "5000/s"
lines = ["239.2.2.2:6000"]
[route.in]
from = "feed"
to = ["store"]
window = "disk"
spool = "20GiB"
[route.out]
from = "back"
to = "lan"
"""


def loaded(text: str, **environment: str) -> Config:
    return loads(dedent(text), "c.toml", {"HOME": "/home/u", "HOSTNAME": "h", **environment})


def problems(text: str, **environment: str) -> list[Problem]:
    with pytest.raises(ConfigurationErrors) as caught:
        loaded(text, **environment)
    return caught.value.problems


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def only(text: str, **environment: str) -> Problem:
    [problem] = problems(text, **environment)
    assert problem.line is not None
    return problem


def test_every_table_is_resolved_with_its_connector() -> None:
    config = loaded(GOOD)
    feed, back = config.sources["feed"], config.sources["back"]
    store, lan = config.sinks["store"], config.sinks["lan"]
    assert isinstance(feed, DatagramSourceConfig)
    assert isinstance(back, MessageSourceConfig)
    assert isinstance(store, MessageSinkConfig)
    assert isinstance(lan, DatagramSinkConfig)
    assert config.routes["in"].source is feed
    assert config.routes["in"].sinks == (store,)
    assert config.routes["in"].settings.spool == 20 * 2**30
    assert back.settings.start.at == "earliest"
    assert lan.settings.rate.messages == 5000
    assert lan.for_channel("anything") is lan.settings
    assert config.warnings == ()


def test_a_channel_has_the_table_s_settings_but_for_its_own() -> None:
    feed = loaded(GOOD).sources["feed"]
    assert isinstance(feed, DatagramSourceConfig)
    assert list(feed.channels) == ["one", "two"]
    one, two = feed.channels["one"], feed.channels["two"]
    assert (one.gap.hold, one.gap.hold_packets, one.id) == (0.005, 8, None)
    assert (two.gap.hold, two.gap.hold_packets, two.id) == (0.01, 8, 7)


def test_without_channels_the_source_s_name_is_the_channel_s() -> None:
    config = loaded("""
        [source.floor]
        type = "multicast"
        protocol = "raw"
        lines = ["239.192.7.1:6000"]
        [sink.s]
        type = "journal"
        path = "/j"
        [route.r]
        from = "floor"
        to = "s"
    """)
    floor = config.sources["floor"]
    assert isinstance(floor, DatagramSourceConfig)
    assert list(floor.channels) == ["floor"]
    assert config.bridge.name == "h"


def test_where_the_state_is() -> None:
    assert loaded(GOOD).state == Path("/home/u/.local/state/multicast-bridge/plant7")
    assert loaded(GOOD, STATE_DIRECTORY="/var/lib/a:/var/lib/b").state == Path("/var/lib/a")
    own = changed('name = "plant7"', 'name = "plant7"\nstate = "/s"')
    assert loaded(own, STATE_DIRECTORY="/var/lib/a").state == Path("/s")


def test_a_host_name_that_is_no_name_is_made_one() -> None:
    assert loaded(changed('name = "plant7"', ""), HOSTNAME="my host!").bridge.name == "my-host"


def test_five_mistakes_are_named_at_once() -> None:
    text = dedent("""\
        [bridge]
        name = "plant7"
        drain = 10
        [source.floor]
        type = "multicast"
        protocol = "moldudp46"
        multicast_groups = ["239.192.7.1:6000"]
        [sink.archive]
        type = "jurnal"
        path = "${NOWHERE}/x"
        [route.telemetry]
        from = "flor"
        to = ["archive"]
    """)
    with pytest.raises(ConfigurationErrors) as caught:
        loaded(text)
    assert caught.value.lines() == [
        "error: c.toml:3: bridge.drain: 10 has no unit",
        'hint: write for example "10s"',
        "error: c.toml:6: source.floor.protocol: there is no protocol 'moldudp46'",
        "hint: did you mean 'moldudp64'? there are raw, native, moldudp64",
        "error: c.toml:7: source.floor.multicast_groups: unknown key of a multicast source",
        "hint: did you mean `lines`?",
        "error: c.toml:9: sink.archive.type: no sink is called 'jurnal'",
        "hint: did you mean 'journal'? installed: journal, multicast, stdout",
        "error: c.toml:10: sink.archive.path: the environment variable NOWHERE is not set",
        'hint: set NOWHERE, or write "${NOWHERE:-DEFAULT}"',
        "error: c.toml:12: route.telemetry.from: no source is called 'flor'",
        "hint: did you mean `floor`? the sources are floor",
    ]


@pytest.mark.parametrize(
    ("old", "new", "key", "code", "said"),
    [
        ('name = "plant7"', 'name = "a b"', "bridge.name", "bad_value", "'a b' is no name"),
        ('name = "plant7"', 'admin = "0.0.0.0:9464"', "bridge.admin", "contradiction", "beyond loopback"),
        ('name = "plant7"', 'allow = ["10.0.0.1/8"]', "bridge.allow[0]", "bad_value", "is no network"),
        ('name = "plant7"', "nmae = 1", "bridge.nmae", "unknown_key", "unknown key of [bridge]"),
        ("[source.feed.channel]", "[source.feed.channels]", "source.feed.channels", "unknown_key", "unknown key"),
        (
            'type = "multicast"\nprotocol = "native"',
            'protocol = "native"',
            "source.feed.type",
            "missing_key",
            "is required",
        ),
        ('protocol = "native"', "", "source.feed.protocol", "missing_key", "is required: the wire protocol"),
        ("hold_packets = 8", "hold_packet = 8", "source.feed.gap.hold_packet", "unknown_key", "unknown key of `gap`"),
        ("hold_packets = 8", "hold_packets = 0", "source.feed.gap.hold_packets", "bad_value", "0 must be greater than"),
        ('hold = "5ms"', 'hold = "5"', "source.feed.channel.one.gap.hold", "bad_value", "'5' has no unit"),
        ('hold = "5ms"', 'holt = "5ms"', "source.feed.channel.one.gap.holt", "unknown_key", "unknown key of `gap`"),
        ("id = 7", "id = -1", "source.feed.channel.two.id", "bad_value", "must be greater than or equal to 0"),
        ("id = 7", "di = 7", "source.feed.channel.two.di", "unknown_key", "unknown key of `channel.two`"),
        ("id = 7", "id = 2053932785", "source.feed.channel.two.id", "collision", "as channel one has"),
        ("two = {", '"tw o" = {', "source.feed.channel.tw o", "bad_value", "is no name"),
        ('start = "earliest"', 'start = "newest"', "source.back.start", "bad_value", "'newest' is no start"),
        ('start = "earliest"', 'sequence = "position"', "source.back.sequence", "not_yet", "not in this version yet"),
        ('start = "earliest"', "gap = {}", "source.back.gap", "unknown_key", "unknown key of a journal source"),
        ('path = "/j/store"\n', "", "sink.store.path", "missing_key", "is required: directory of the journal"),
        ('holes = "empty"', "", "sink.lan.protocol", "contradiction", "cannot say that a number will never come"),
        ('protocol = "moldudp64"', 'protocol = "native"', "sink.lan.holes", "contradiction", "announces holes itself"),
        ('protocol = "moldudp64"', 'protocol = "raw"', "sink.lan.holes", "contradiction", "has no numbers on the wire"),
        ('rate = "5000/s"', 'rate = "5000"', "sink.lan.rate", "bad_value", "has no unit"),
        ('rate = "5000/s"', "id = 3", "sink.lan.id", "contradiction", "moldudp64 has no place for it"),
        ('lines = ["239.2.2.2:6000"]', 'lines = ["239.2.2.2"]', "sink.lan.lines[0]", "bad_value", "239.2.2.2"),
        (
            'window = "disk"',
            'window = "dsk"',
            "route.in.window",
            "bad_value",
            '\'dsk\' must be one of "memory", "disk"',
        ),
        ('to = "lan"', 'to = ["lan", "lan"]', "route.out.to[1]", "collision", "named twice"),
        ('to = "lan"', 'to = ["lan", "lna"]', "route.out.to[1]", "unknown_name", "no sink is called 'lna'"),
        ('to = "lan"', 'to = "feed"', "route.out.to", "unknown_name", "no sink is called 'feed'"),
        ('to = "lan"', 'to = "lan"\noverload = "stop"', "route.out.overload", "contradiction", "message source back"),
        ('to = "lan"', 'to = "lan"\nwindow = "disk"', "route.out.window", "contradiction", "message source back"),
        ('path = "/j/other"', 'path = "/j/store"', "", "", ""),
    ],
)
def test_one_mistake_is_one_problem_at_its_place(old: str, new: str, key: str, code: str, said: str) -> None:
    text = changed(old, new)
    if not key:  # reading what another route writes is no mistake
        assert loaded(text).warnings == ()
        return
    problem = only(text)
    assert (problem.key, problem.code) == (key, code)
    assert said in problem.text
    lines = text.split("\n")
    assert problem.line is not None
    last = key.rpartition(".")[2].partition("[")[0]
    assert last in lines[problem.line - 1] or code == "missing_key"


@pytest.mark.parametrize(
    ("line", "suggestion"),
    [
        ('service_address = "x"', "lines"),
        ("read_buffer_size = 1", "receive_buffer"),
        ("rceive_buffer = 1", "receive_buffer"),
        ("codec = 1", "protocol"),
        ("allowed_sources = 1", "sources"),
        ("Max-Delay = 1", "max_delay"),
    ],
)
def test_names_of_peers_and_misspelt_names_are_understood(line: str, suggestion: str) -> None:
    problem = only(changed('gap = { hold = "10ms", hold_packets = 8 }', line))
    assert (problem.code, problem.suggestion) == ("unknown_key", suggestion)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('name = "plant7"', 'pair = "p"', "bridge.pair"),
        ('name = "plant7"', "workers = 2", "bridge.workers"),
        ("id = 7", 'recover = ["moldudp64://10.0.0.1:1"]', "source.feed.channel.two.recover"),
        ('start = "earliest"', "fields = { a = 1 }", "source.back.fields"),
        ('max_age = "30d"', "only = { kind = [1] }", "sink.store.only"),
        ('max_age = "30d"', "in_flight = 1", "sink.store.in_flight"),
        ('rate = "5000/s"', 'stale_after = "5s"', "sink.lan.stale_after"),
        ('spool = "20GiB"', 'late = "store"', "route.in.late"),
        ("[route.out]", "[serve]\n[route.out]", "serve"),
        ('type = "journal"\npath = "/j/store"', 'type = "kafka"\npath = "/j/store"', "sink.store.type"),
    ],
)
def test_what_later_versions_have_is_an_error_of_its_own(old: str, new: str, key: str) -> None:
    problem = only(changed(old, new))
    assert (problem.key, problem.code) == (key, "not_yet")
    assert "not in this version yet" in problem.text


def test_raw_has_no_gaps() -> None:
    text = (
        changed('protocol = "native"', 'protocol = "raw"')
        .replace(", id = 7", "")
        .replace(', gap = { hold = "5ms" }', "")
    )
    problem = only(text)
    assert (problem.key, problem.code) == ("source.feed.gap", "contradiction")


def test_two_sinks_do_not_share_a_journal() -> None:
    text = GOOD + '[sink.again]\ntype = "journal"\npath = "/j/../j/store"\n[route.third]\nfrom = "feed"\nto = "again"\n'
    assert loaded(text)  # `..` is not resolved: a link may stand there
    problem = only(text.replace("/j/../j/store", "/j/store"))
    assert (problem.key, problem.code) == ("sink.again.path", "collision")


def test_a_channel_of_a_sink_has_one_writer() -> None:
    problem = only(GOOD + '[route.third]\nfrom = "feed"\nto = "store"\n')
    assert (problem.key, problem.code) == ("route.third.to", "collision")
    assert "route in too" in problem.text


def test_a_channel_needs_a_line_where_it_goes() -> None:
    lan = (
        '[sink.relay]\ntype = "multicast"\nprotocol = "native"\n[sink.relay.channel]\none.lines = ["239.3.3.3:7000"]\n'
    )
    problem = only(GOOD + lan + '[route.third]\nfrom = "feed"\nto = "relay"\n')
    assert (problem.key, problem.code) == ("sink.relay.channel", "missing_key")
    assert "channel two of source feed" in problem.text


def test_a_circle_is_refused() -> None:
    lan = '[sink.relay]\ntype = "multicast"\nprotocol = "native"\nlines = ["239.1.1.3:5000%lo"]\n'
    problem = only(GOOD + lan + '[route.third]\nfrom = "feed"\nto = "relay"\n')
    assert (problem.key, problem.code) == ("route.third", "cycle")
    journal = changed('path = "/j/other"', 'path = "/j/third"') + '[sink.third]\ntype = "journal"\npath = "/j/third"\n'
    problem = only(journal.replace('to = "lan"', 'to = ["lan", "third"]'))
    assert (problem.key, problem.code) == ("route.out", "cycle")


def test_overlapping_groups_and_unused_tables_are_warnings() -> None:
    text = GOOD + '[source.more]\ntype = "multicast"\nprotocol = "raw"\nlines = ["239.1.1.1:5000"]\n'
    config = loaded(text)
    assert [(w.code, w.key, w.level) for w in config.warnings] == [
        ("unused", "source.more", "warning"),
        ("overlap", "source.more.lines[0]", "warning"),
    ]


def test_nothing_flows_without_a_route() -> None:
    problem = problems('[source.a]\ntype = "journal"\npath = "/j"\n')[0]
    assert (problem.key, problem.code) == ("route", "missing_key")
    assert problems("")[0].key == "route"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[bridge\n", 1, "is no TOML"),
        ("[bridge]\nname = plant7\n", 2, "invalid value, column 8"),
        ("a = 1\na = 2\n", 2, "cannot overwrite"),
        ('x = "', 1, "at the end of the file"),
    ],
)
def test_what_is_no_toml_names_its_line(text: str, line: int, said: str) -> None:
    [problem] = problems(text)
    assert (problem.code, problem.line) == ("syntax", line)
    assert said in problem.text


@pytest.mark.parametrize("text", ["bridge = 1", "source = 1", "source.a = 1", "route = []", "[[source]]\n[[sink]]"])
def test_tables_that_are_none(text: str) -> None:
    assert problems(text)[0].code in ("bad_value", "missing_key")
    assert any("table" in problem.text for problem in problems(text))


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationErrors) as caught:
        load(tmp_path / "none.toml")
    assert caught.value.lines()[0] == f"error: {tmp_path}/none.toml: cannot be read: No such file or directory"
    (tmp_path / "b.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigurationErrors) as caught:
        load(tmp_path / "b.toml")
    assert caught.value.problems[0].line == 2


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "w.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").replace("8 }", "0 }").encode())
    with pytest.raises(ConfigurationErrors) as caught:
        load(tmp_path / "w.toml")
    assert caught.value.problems[0].line == 7


PLANTED = "pl4nted-s3cret"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "plant7"', 'name = "${S} ${S}"'),
        ('name = "plant7"', 'drain = "${S}"'),
        ('name = "plant7"', 'admin = "${S}:1"'),
        ('hold = "5ms"', 'hold = "${S}"'),
        ('lines = ["239.2.2.2:6000"]', 'lines = ["${S}:6000"]'),
        ('lines = ["239.2.2.2:6000"]', 'lines = ["239.2.2.2:6000%${S}${S}"]'),
        ('protocol = "moldudp64"', 'protocol = "${S}"'),
        ('window = "disk"', 'window = "${S}"'),
        ('from = "feed"', 'from = "${S}"'),
        ('to = "lan"', 'to = ["lan", "${S}"]'),
        ('start = "earliest"', 'start = "file:${F}"'),
        ('path = "/j/store"', 'path = "/j/store"\nurl = "${S}"'),
        ('type = "journal"\npath = "/j/store"', 'type = "${S}"\npath = "/j/store"'),
        ('max_age = "30d"', f'password = "{PLANTED}"'),
        ('max_age = "30d"', f'url = "redis://a:{PLANTED}@h"'),
        ("id = 7", f'auth = {{ keys = ["{PLANTED}"] }}'),
        ("id = 7", 'id = "${S}"'),
    ],
)
def test_no_error_shows_a_value_from_outside_or_a_password(old: str, new: str, tmp_path: Path) -> None:
    (tmp_path / "s").write_text(PLANTED)
    with pytest.raises(ConfigurationErrors) as caught:
        loaded(changed(old, new), S=PLANTED, F=str(tmp_path / "s"))
    assert caught.value.lines()
    assert PLANTED not in "\n".join([*caught.value.lines(), str(caught.value), repr(caught.value.problems)])


def test_keys_of_the_native_protocol_come_from_outside_only() -> None:
    config = loaded(changed("id = 7", 'auth = { keys = ["${K}"] }'), K=PLANTED)
    feed = config.sources["feed"]
    assert isinstance(feed, DatagramSourceConfig)
    auth = feed.channels["two"].auth
    assert auth is not None
    assert [key.reveal() for key in auth.keys] == [PLANTED]
    assert PLANTED not in repr(config.sources)
