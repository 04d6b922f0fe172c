import io
import logging
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from securecc.model.printable import PrintableFormatter, PrintableStream, plain, plain_path


@given(st.text())
def test_plain_is_one_printable_line(text: Any) -> None:
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


@given(st.binary(max_size=40))
def test_a_plain_path_is_printable_whatever_its_bytes(path: Any) -> None:
    assert plain_path(path).isprintable()
    assert plain_path(b"/a\x1b\xff") == "/a\\x1b\\xff"


@given(st.lists(st.text()))
def test_a_stream_lets_only_newlines_through(texts: Any) -> None:
    beneath = io.StringIO(newline="")
    stream = PrintableStream(beneath)
    assert [stream.write(text) for text in texts] == list(map(len, texts))
    said = beneath.getvalue()
    assert said.replace("\n", "").isprintable()
    assert said.count("\n") == "".join(texts).count("\n")


def test_a_stream_is_the_other_one_in_all_else() -> None:
    assert sys.__stderr__ is not None
    stream: Any = PrintableStream(sys.__stderr__)
    assert stream.fileno() == 2
    assert stream.beneath is sys.__stderr__


def formatted(message: Any, *arguments: Any, error: Any = None, form: str = "%(message)s") -> Any:
    record = logging.LogRecord("securecc", logging.ERROR, "", 1, message, arguments, error)
    return PrintableFormatter(form, lambda text: text.replace("hunter2", "-")).format(record)


@given(st.text())
def test_a_record_of_a_log_is_one_line(text: Any) -> None:
    assert formatted("%s: end", text).isprintable()


def test_secrets_and_times() -> None:
    assert formatted("the %s", "hunter2") == "the -"
    assert formatted("x", form="%(asctime)s %(message)s").endswith(" x")


@given(st.text())
def test_no_line_of_a_traceback_can_pass_for_a_record(text: Any) -> None:
    try:
        raise ValueError("hunter2\n" + text)
    except ValueError:
        first, *others = formatted("met", error=sys.exc_info()).split("\n")
    assert first == "met"
    assert all(line.startswith("  ") and line.isprintable() for line in others)
    assert "hunter2" not in "".join(others[-1:]) or "hunter2" in text
