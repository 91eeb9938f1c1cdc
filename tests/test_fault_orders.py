"""The table of faults and the orders that `k4 sim --fault` takes: what is said, what is refused, and when who is met."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from k4.cli import app
from k4.errors import UsageError
from k4.sim.fault import Elsewhere
from k4.sim.faults import FAULTS, GROUPS, listing, markdown
from k4.sim.order import check_products, load, parse

ROOT = Path(__file__).resolve().parent.parent


def test_the_documented_table_is_this_one() -> None:
    """docs/faults.md holds what `python -m k4.sim.faults` prints."""
    assert markdown() in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def test_names_are_unique_and_in_kebab_case() -> None:
    names = [fault.name for _, faults in GROUPS for fault in faults]
    assert len(names) == len(set(names)) == len(FAULTS)
    assert not [name for name in names if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)]


def test_what_is_shown_elsewhere_is_there() -> None:
    tests = [fault.inject.test for fault in FAULTS.values() if isinstance(fault.inject, Elsewhere)]
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), test


def test_an_order_says_who_and_when() -> None:
    order = parse("stall@conn=0,at=5,for=3")
    assert (order.fault.name, order.conn, order.at, order.lasts, order.first, order.by_accept) == ("stall", 0, 5.0, 3.0, 5.0, False)
    order = parse("cut@conn=1,every=10")
    assert (order.conn, order.every, order.first, order.by_accept) == (1, 10.0, 10.0, False), "repeated: by the simulator's clock"
    order = parse("cut")
    assert (order.conn, order.first, order.by_accept, order.times) == (None, 0.0, True, None), "at once, whoever comes"
    order = parse("slow@rate=500,share=0.5,product=nova.spot,path=/stream*,after=1.5,times=2")
    assert (order.options, order.share, order.product, order.path) == ({"rate": 500.0}, 0.5, "nova.spot", "/stream*")
    assert (order.first, order.by_accept, order.times) == (1.5, True, 2)
    assert parse("shutdown-notice").options == {"grace": 10.0}, "what is not given is as in the table"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stal", '--fault stal: there is no fault "stal"; did you mean "stall"? `k4 sim --faults` lists them'),
        ("xyzzy", '--fault xyzzy: there is no fault "xyzzy"; `k4 sim --faults` lists them'),
        ("cut@conn", '--fault cut@conn: "conn" is no KEY=VALUE; write cut@KEY=VALUE,KEY=VALUE'),
        ("cut@", '--fault cut@: "" is no KEY=VALUE; write cut@KEY=VALUE,KEY=VALUE'),
        (
            "cut@con=1",
            '--fault cut@con=1: cut has no "con"; did you mean "conn"? allowed: conn share product path at after every for times',
        ),
        ("cut@conn=1,conn=2", "--fault cut@conn=1,conn=2: conn is given twice"),
        ("cut@conn=-1", "--fault cut@conn=-1: conn=-1 is wrong; allowed: a whole number of at least 0"),
        ("cut@times=0", "--fault cut@times=0: times=0 is wrong; allowed: a whole number of at least 1"),
        ("cut@share=2", "--fault cut@share=2: share=2 is wrong; allowed: a number from 0 to 1"),
        ("cut@every=nan", "--fault cut@every=nan: every=nan is wrong; allowed: a number of at least 0.001"),
        ("cut@at=x", "--fault cut@at=x: at=x is wrong; allowed: a number of at least 0"),
        ("cut@at=1,after=1", "--fault cut@at=1,after=1: at and after are of two clocks; give one"),
        ("slow@rate=much", "--fault slow@rate=much: rate=much is wrong; allowed: a number of at least 0"),
        (
            "dns",
            "--fault dns: dns is not for the simulator to inject: names cannot be resolved; it is shown by tests/test_link.py::test_a_name_that_cannot_be_resolved",
        ),
    ],
)
def test_a_wrong_order_is_told_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value) == said


def test_a_script_is_a_list_of_orders(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text(json.dumps([{"fault": "cut", "conn": 1, "every": 10}, {"fault": "slow", "rate": 2.5}]))
    cut, slow = load(file)
    assert (cut.fault.name, cut.conn, cut.every) == ("cut", 1, 10.0)
    assert (slow.fault.name, slow.options) == ("slow", {"rate": 2.5})
    for text, said in (
        ("{}", "a list of objects is expected"),
        ('[{"conn": 1}]', 'each with "fault"'),
        ('[{"fault": "cut", "conn": true}]', "entry 0: conn: a number or a text is expected"),
        ('[{"fault": "cut"}, {"fault": "cutt"}]', 'entry 1: there is no fault "cutt"; did you mean "cut"?'),
        ("[", "is no JSON: Expecting value: line 1 column 2"),
    ):
        file.write_text(text)
        with pytest.raises(UsageError, match=re.escape(said)):
            load(file)


def test_a_product_that_is_not_served() -> None:
    with pytest.raises(UsageError, match=r"the configuration has: nova\.spot"):
        check_products([parse("cut@product=nova.perp")], ["nova.spot"])


def test_the_command_line() -> None:
    shown = CliRunner().invoke(app, ["sim", "--faults"])
    assert (shown.exit_code, shown.stdout) == (0, listing())
    refused = subprocess.run(
        [sys.executable, "-m", "k4", "sim", "config/binance_spot.json", "--fault", "cutt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == 'k4: error: --fault cutt: there is no fault "cutt"; did you mean "cut"? `k4 sim --faults` lists them\n'


def test_what_can_be_chosen_depends_on_where_a_fault_strikes() -> None:
    gap = parse("gap@symbol=FOOBAR,record=trade,p=0.1,conn=1")
    assert (gap.symbol, gap.record, gap.p, gap.conn) == ("FOOBAR", "trade", 0.1, 1)
    for text, allowed in (
        ("accept-close@product=nova.spot", "conn share at after every for times"),
        ("rest-429@conn=1", "path at after every for times retry"),
        ("cut@symbol=X", "conn share product path at after every for times"),
    ):
        with pytest.raises(UsageError, match=re.escape(f"allowed: {allowed}")):
            parse(text)


def test_faults_of_data_do_not_go_with_load() -> None:
    words = ["sim", "config/binance_spot.json", "--load", "--fault", "gap"]
    done = subprocess.run([sys.executable, "-m", "k4", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "k4: error: --fault gap changes messages, those of --load are rendered before; leave one of them out\n"
