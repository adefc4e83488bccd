import gzip

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from edgedistill.data.readers import read_table, text_lines
from edgedistill.errors import DataError

KEEP = ("text", "label")
ROWS = [(2, {"text": "a, b", "label": "0"}), (3, {"text": "c", "label": "1"})]


def written(path, data):
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("jsonl", b'\n{"text": "a, b", "label": "0", "idx": 7}\n{"text": "c", "label": "1"}\n\n'),
        ("csv", b'text,label,idx\r\n"a, b",0,7\r\nc,1,8\r\n'),
        ("tsv", b"text\tlabel\tidx\na, b\t0\t7\nc\t1\t8\n"),
    ],
)
def test_reads_text_formats_alike(tmp_path, kind, suffix, data):
    table = read_table(written(tmp_path / f"train.{kind}{suffix}", data), KEEP)
    assert table.rows == ROWS
    assert table.columns == ("text", "label", "idx")
    assert table.unit == "line"


def test_reads_parquet_with_its_class_names(tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    path = tmp_path / "train.parquet"
    Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(str(path))
    table = read_table(path, KEEP)
    assert table.rows == [(1, {"text": "a", "label": 1}), (2, {"text": "b", "label": 0})]
    assert table.class_names == {"label": ("no", "yes")}
    assert table.unit == "row"


def test_tsv_keeps_quotes(tmp_path):
    path = written(tmp_path / "train.tsv", b'text\tlabel\n"unbalanced\t1\n')
    assert read_table(path, KEEP).rows[0][1]["text"] == '"unbalanced'


def test_csv_counts_lines_within_quotes(tmp_path):
    path = written(tmp_path / "train.csv", b'text,label\n"two\nlines",1\nlast,0\n')
    assert [number for number, _ in read_table(path, KEEP).rows] == [3, 4]


def test_byte_order_mark_is_no_part_of_a_column(tmp_path):
    assert read_table(written(tmp_path / "a.csv", "\ufefftext,label\nx,1\n".encode()), KEEP).columns == (
        "text",
        "label",
    )


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "a.jsonl",
            b'{"text": "x"}\n{"text": \n',
            r"a.jsonl, line 2: not JSON \(.*\): '\{\"text\": '. Each line must be one JSON",
        ),
        ("a.jsonl", b'["x"]\n', r"a.jsonl, line 1: not a JSON object with column names: '\[\"x\"\]'"),
        (
            "a.jsonl",
            b'{"text": "x"}\n{"text": "\xe9t\xe9"}\n',
            r"line 2: not UTF-8 \(byte 0xe9 at position 11\).*iconv",
        ),
        ("a.jsonl", '{"text": "x"}\n'.encode("utf-16"), "line 1: not UTF-8 .* iconv -f UTF-16 -t UTF-8"),
        ("a.jsonl", b'{"text": "a\0b"}\n', "a.jsonl, line 1: It holds zero bytes and is no text"),
        ("a.jsonl", b"\x7fELF\0\x80\0", "zero bytes and is no text"),
        ("a.jsonl", b"\n \n", "has no rows. Write at least one"),
        ("a.csv", b"text,label\n", "has no rows"),
        ("a.csv", b"text,label\nx\n", r"line 2: has 1 fields, the header has 2 \(text, label\)"),
        ("a.csv", b'text,label\n"x,1\n', "line 2: unexpected end of data. Check the quotes"),
        ("a.parquet", b"PAR1 no", "cannot read '.*a.parquet' as Parquet"),
    ],
)
def test_wrong_files(tmp_path, name, data, message):
    with pytest.raises(DataError, match=message):
        read_table(written(tmp_path / name, data), KEEP)


def test_truncated_gzip(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "x"}\n' * 1000)[:-12])
    with pytest.raises(DataError, match=r"not a whole gzip file"):
        read_table(path, KEEP)


def test_gz_that_is_no_gzip(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_text("plain")
    with pytest.raises(DataError, match=r"after line 0: not a whole gzip file"):
        list(text_lines(path))


def test_empty_parquet(tmp_path):
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"has no rows"):
        read_table(tmp_path / "a.parquet", KEEP)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"no file '.*a.jsonl'"):
        read_table(tmp_path / "a.jsonl", KEEP)
