import pytest

from secateur_api import quantity as q


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (q.parse_percent, "50%", 0.5),
        (q.parse_percent, "0.5%", 0.005),
        (q.parse_percent, "100%", 1.0),
        (q.parse_duration, "500ms", 0.5),
        (q.parse_duration, "1h30m", 5400.0),
        (q.parse_duration, "250us", 250e-6),
        (q.parse_bytes, "50Mi", 50 * 2**20),
        (q.parse_bytes, "50M", 50_000_000),
        (q.parse_count, "1.5G", 1.5e9),
        (q.parse_factor, "1.3x", 1.3),
    ],
)
def test_a_quantity_is_read_in_its_base_unit(parse, text, value):
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (q.parse_percent, "50"),
        (q.parse_percent, "101%"),
        (q.parse_duration, "500"),
        (q.parse_duration, "-1s"),
        (q.parse_bytes, "50MB"),
        (q.parse_factor, "1.3"),
    ],
)
def test_another_unit_is_refused_with_an_example(parse, text):
    with pytest.raises(ValueError, match="write it like"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (q.show_bytes(52428800), "50.0 MiB"),
        (q.show_count(1234567), "1.23 M"),
        (q.show_seconds(0.0123), "12.30 ms"),
        (q.show_seconds(0.0003), "300 us"),
        (q.show_seconds(4e-8), "0.04 us"),
        (q.show_seconds(75), "1m15s"),
        (q.show_seconds(5400), "1h30m"),
    ],
)
def test_numbers_are_shown_for_a_person(text, shown):
    assert text == shown
