"""Origins: only the form that browsers send is valid; the message of others says what to write."""

from __future__ import annotations

import pytest

from service.origins import read_origin

EXACT = [
    "https://page.example",
    "http://localhost:3000",
    "http://127.0.0.1:8080",
    "http://[::1]:3000",
    "https://page.example:80",
    "https://xn--bcher-kva.example",
    "chrome-extension://abcdefghijklmnop",
    "capacitor://localhost",
]

MEANT = [
    ("https://page.example/", "https://page.example"),
    ("https://page.example/app/?x=1#top", "https://page.example"),
    ("https://Page.Example", "https://page.example"),
    ("HTTPS://page.example", "https://page.example"),
    ("https://page.example:443", "https://page.example"),
    ("http://page.example:80", "http://page.example"),
    ("http://page.example:08080", "http://page.example:8080"),
    ("https://page.example:", "https://page.example"),
    ("https://me:secret@page.example", "https://page.example"),
    ("http://[0:0::1]:3000", "http://[::1]:3000"),
]

NONE = [
    *("*", "null", "page.example", "localhost:3000", "//page.example", "https://", "https:"),
    *("https://*.example", "https://*", "https://bücher.example", "https://two words.example"),
    *("http://page.example:port", "http://page.example:99999", "http://[::1", "http://[page]"),
    *("https://page.example;https://other.example", ""),
]


@pytest.mark.parametrize("text", EXACT)
def test_the_form_that_browsers_send_is_valid(text: str) -> None:
    assert read_origin(text) == text


@pytest.mark.parametrize(("text", "meant"), MEANT)
def test_another_form_is_refused_with_what_to_write(text: str, meant: str) -> None:
    with pytest.raises(ValueError, match="must be exact origins") as refused:
        read_origin(text)
    assert str(refused.value).endswith(f"instead of {text} write {meant}")
    assert read_origin(meant) == meant


@pytest.mark.parametrize("text", NONE)
def test_a_text_that_is_no_origin_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"like https://page\.example or http://localhost:3000"):
        read_origin(text)
