import pytest

from edgedistill.pages import numbers


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (numbers.size(2_340), "2.3 kB"),
        (numbers.size(6_300_000), "6.3 MB"),
        (numbers.size(1_250_000_000), "1.25 GB"),
        (numbers.size(None), "—"),
        (numbers.milliseconds(5.174), "5.17"),
        (numbers.milliseconds(28.22), "28.2"),
        (numbers.milliseconds(1234.5), "1,234"),
        (numbers.milliseconds(None), "—"),
        (numbers.percent(0.99351, 1), "99.4 %"),
        (numbers.percent(None), "—"),
        (numbers.times(5.46), "5.5\N{MULTIPLICATION SIGN}"),
        (numbers.times(341.2), "341\N{MULTIPLICATION SIGN}"),
        (numbers.times(None), "—"),
        (numbers.number(0.88421), "0.8842"),
        (numbers.number(1e-6), "1.0e-06"),
        (numbers.number(0.0), "0"),
        (numbers.number(12_345.0), "12,345"),
        (numbers.number(None), "—"),
        (numbers.number(float("inf")), "—"),
        (numbers.number(float("nan")), "—"),
        (numbers.count(872), "872"),
        (numbers.count(None), "—"),
        (numbers.parameters(5_842_178), "5.84 M"),
        (numbers.parameters(4_321), "4,321"),
        (numbers.parameters(None), "—"),
        (numbers.seconds(3.21), "3.2 s"),
        (numbers.seconds(48.0), "48 s"),
        (numbers.seconds(1233.0), "21 min"),
        (numbers.seconds(8000.0), "2.2 h"),
        (numbers.seconds(None), "—"),
    ],
)
def test_numbers_read_as_people_write_them(shown: str, wanted: str) -> None:
    assert shown == wanted
