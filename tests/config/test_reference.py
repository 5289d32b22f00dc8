"""
Every option is documented, and the pages in the tree are the ones that the definitions make.
"""

import re
from pathlib import Path

import pytest

from pymta.config import describe
from pymta.config.default import TEXT, load_default
from pymta.config.load import load_text
from pymta.config.option import Section
from pymta.config.reference import page
from pymta.config.settings import LimitsSettings, Settings
from pymta.observe.metrics_reference import page as metrics_page

TREE = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "made", "module"),
    [
        ("configuration.md", page, "pymta.config.reference"),
        ("metrics.md", metrics_page, "pymta.observe.metrics_reference"),
    ],
)
def test_the_page_in_the_tree_is_current(name: str, made: object, module: str) -> None:
    assert callable(made)
    assert made() == (TREE / "docs" / name).read_text(), f"python -m {module} > docs/{name}"


def every_option() -> list[tuple[str, describe.Described]]:
    return [(section.heading, option) for section in describe.sections() for option in section.options]


def test_every_option_is_documented_in_a_sentence() -> None:
    assert len(every_option()) > 80
    for heading, described in every_option():
        assert described.option.doc.endswith((".", "?")), (heading, described.name)
        assert described.option.reader, (heading, described.name)


def test_an_option_without_documentation_cannot_be_described() -> None:
    class Undocumented(Section, frozen=True, kw_only=True):
        size_octets: int = 1

    with pytest.raises(TypeError, match="size_octets"):
        list(describe._options(Undocumented))


def test_a_number_has_its_unit_in_its_name() -> None:
    """
    CONTRIBUTING.md: unit, then bound. What is a plain count says of what.
    """
    unit = re.compile(
        r"_(s|octets|per_min)(_min|_max)?$|_max$|_growth$|_start$|_iterations$|_passes$|_after_failures$|_days$|(^|_)port$|^failure_ttl_s$|^workers$"
    )
    for heading, described in every_option():
        if described.kind.startswith(("integer", "number")):
            assert unit.search(described.name), (heading, described.name)


def test_each_reader_is_a_module_of_the_design() -> None:
    """
    Knobs only with a stated reader: it names a station or a module in one.
    """
    stations = {
        "accept", "access", "acme", "admin", "app", "auth", "deliver", "directory", "dns", "observe", "policy", "queue", "report", "route", "runtime",
        "spool", "tls",
    }  # fmt: skip
    for heading, described in every_option():
        for reader in described.option.reader.split(", "):
            assert reader.split(".")[0] in stations, (heading, described.name, reader)


def test_limits_of_a_session_are_those_of_rust() -> None:
    """
    The same names and the same defaults as in rust/pymta-smtp/src/server/limits.rs.
    """
    source = (TREE / "rust/pymta-smtp/src/server/limits.rs").read_text()
    block = re.search(r"fn default\(\) -> Self \{\s*Self \{(.*?)\}", source, re.DOTALL)
    assert block is not None
    theirs = {
        name: eval(value.replace("_", ""))
        for name, value in re.findall(r"(\w+): ([0-9_ *]+),", block.group(1))
    }

    assert theirs == LimitsSettings().for_session()


def test_the_embedded_default_is_for_a_newcomer_on_loopback(tmp_path: Path) -> None:
    settings = load_default(tmp_path / "data").settings

    assert tmp_path / "data" == settings.server.data_folder
    assert all(listener.address.is_loopback for listener in settings.listeners)
    assert 2525 == settings.listeners[0].address.port
    assert settings.sink.address is not None
    assert [str(settings.sink.address)] == [str(hop) for hop in settings.routes[0].next_hops]


def test_the_minimal_example_on_the_page_loads() -> None:
    example = re.search(r"```toml\n(\[server\].*?)```", page(), re.DOTALL)
    assert example is not None
    assert TEXT.strip() != example.group(1).strip()

    assert isinstance(load_text(example.group(1), base=TREE).settings, Settings)


def test_every_example_of_an_option_is_toml_that_its_type_takes() -> None:
    base = {
        "[server]": "",
        "[[listeners]]": 'name = "in"\naddress = "127.0.0.1:1"\n',
        "[[routes]]": 'domain = "a.example"\n',
        "[[certificates]]": 'names = ["a.example"]\ncertificate_file = "a.pem"\n',
        "[acme]": 'agree_to_terms = true\naddresses = ["127.0.0.1:80"]\n',
    }
    # What needs another option to make sense.
    needs = {"command": 'transport = "pipe"\n', "file": 'transport = "mbox"\n'}
    for heading, described in every_option():
        if not described.option.example:
            continue
        with_it = base.get(heading, "") + (needs.get(described.name, "") if heading == "[[routes]]" else "")
        around = "\n".join(
            line for line in with_it.splitlines() if not line.startswith(f"{described.name} =")
        )
        text = f"{heading}\n{around}\n{described.name} = {described.option.example}\n"
        if not (heading == "[server]" and described.name == "hostname"):
            text = '[server]\nhostname = "a.example"\n' + (
                text.removeprefix("[server]\n") if heading == "[server]" else text
            )
        assert load_text(text, base=TREE), (heading, described.name)
