"""Tables: every prompt is read whole, whatever the file, or refused by the line that a person sees."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from dori.core.errors import InputError
from dori.data.tables import read_table

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str | bytes, name: str = "table.csv") -> Path:
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


def prompts(path: Path) -> list[str]:
    return [row.text("prompt", []) for row in read_table(path).values()]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_table(path)
    assert str(path) in str(error.value)
    return str(error.value)


TEXT = "a red boat on a lake, a pink lamp in a room, a cup"


@pytest.mark.parametrize("text", [
    "image,kind,prompt\n0.png,seen,{}\n",
    "prompt,image,kind\n{},0.png,seen\n",
    "prompt\n{}\n",
    "prompt,image,kind\na boat,0.png,seen\n\n{},1.png,seen\n",
])  # fmt: skip
def test_a_comma_without_quotes_is_refused_by_its_line(write: Write, text: str) -> None:
    said = refused(write(text.format(TEXT)))
    line = 1 + next(i for i, line in enumerate(text.split("\n")) if "{}" in line)
    assert f"  line {line}: " in said
    assert "between double quotes" in said


@pytest.mark.parametrize("text", [
    'image,prompt\n0.png,"{}"\n',
    'image, prompt\n0.png, "{}"\n',
    "image;prompt\n0.png;{}\n",
    "image\tprompt\n0.png\t{}\n",
    "image|prompt\n0.png|{}\n",
    ";Caption;URL\n0;{};\n",
    'image,prompt,,\n0.png,"{}",,\n',
    'image,prompt\n0.png,"{}",,\n',
    '\n\r\nimage,prompt\n0.png,"{}"',
    '"prompt";"image"\n"{}";"0.png"\n',
])  # fmt: skip
def test_a_comma_is_part_of_the_prompt_where_nothing_else_is_meant(write: Write, text: str) -> None:
    assert prompts(write(text.format(TEXT))) == [TEXT]


@pytest.mark.parametrize("text", [
    "prompt,image,kind\na boat,0.png,seen\na boat,0.png\n",
    "prompt,url\na red boat,x\non a lake\n",  # a prompt over two lines, without quotes
    'prompt,image\na cup,0.png\n"Watch: Lifted,0.png\na boat,1.png\n',
    'prompt,image\na cup,0.png\n"Watch: "Lifted"",0.png\n',
    'prompt,image\na cup,0.png\n"Watch: \\"Lifted\\"",0.png\n',
])  # fmt: skip
def test_a_row_that_is_cut_or_has_lost_a_quote_is_refused_by_its_line(write: Write, text: str) -> None:
    assert "line 3" in refused(write(text))


def test_quotes_within_a_prompt_are_read(write: Write) -> None:
    table = write('prompt,image\n"Watch: ""Lifted""",a\na 12" cup,b\n')
    assert prompts(table) == ['Watch: "Lifted"', 'a 12" cup']


def test_a_row_is_where_an_editor_shows_it(write: Write) -> None:
    table = write('prompt,image\r\n"a boat\r\non a lake",a\r\n\r\na cup,b\r\n')
    assert [row.where for row in read_table(table).values()] == ["line 2", "line 5"]
    assert list(read_table(table)) == [0, 2]
    old = write(b"prompt,image\ra boat,a\ra cup,b\r")
    assert [row.where for row in read_table(old).values()] == ["line 2", "line 3"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["table.csv", "table.txt", "table.jsonl"])
def test_a_byte_order_mark_is_no_part_of_a_caption(write: Write, encoding: str, name: str) -> None:
    caption = "a red café ’n’ lake"
    text = {"csv": f"prompt;image\r\n{caption};x\r\n", "txt": caption, "jsonl": json.dumps({"text": caption})}
    assert prompts(write(text[name.split(".")[1]].encode(encoding), name)) == [caption]


@pytest.mark.parametrize("content", [
    "prompt;image\r\na boat;x\r\na café;y\r\n".encode("cp1252"),
    b"prompt;image\r\na boat;x\r\na \0 cup;y\r\n",
])  # fmt: skip
def test_another_encoding_is_refused_by_its_line(write: Write, content: bytes) -> None:
    said = refused(write(content))
    assert "line 3" in said
    assert "UTF-8" in said


@pytest.mark.parametrize("content", [b"PK\x03\x04\x14\0", "prompt\na boat\n".encode("utf-16-le")])
def test_what_is_no_text_is_refused(write: Write, content: bytes) -> None:
    assert "save" in refused(write(content))


CAPTIONS = [
    '"Watch: ""Lifted"""',
    "<i>A boat</i> & a <b>cup</b>",
    "Lake 15′ for $12, or $20",
    "1984",
    "a\u2028b",
]


def test_json_lines_are_read_and_other_keys_left_alone(write: Write) -> None:
    """As the memorized prompts are published."""
    entries = [
        {"caption": text, "index": i, "urls": ["x"], "meta": {"caption": "y", "text": 1}}
        for i, text in enumerate(CAPTIONS)
    ]
    lines = "\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    for name in ("list.jsonl", "list.json", "list.txt", "list.csv"):
        assert prompts(write(lines, name)) == CAPTIONS
    assert prompts(write(json.dumps(entries, indent=2), "list.json")) == CAPTIONS
    assert prompts(write(gzip.compress(lines.encode()), "list.jsonl.gz")) == CAPTIONS


@pytest.mark.parametrize("line", ['{"caption": "a cup"', '["a cup"]', '"a cup"', "a cup"])
def test_a_line_that_is_no_object_is_refused(write: Write, line: str) -> None:
    said = refused(write(f'{{"caption": "a boat"}}\n{line}\n', "list.jsonl"))
    assert "line 2" in said
    assert "JSON" in said


def test_lines_of_captions_end_at_line_ends_alone(write: Write) -> None:
    """str.splitlines would cut at other characters too."""
    lines = ["{red|blue} boats", "a red\x85boat", "a\u2028lamp", "a, b; c", "[a cup]", "a\x0btree"]
    assert prompts(write("\r\n".join(lines), "captions.txt")) == lines


def test_cells_are_text_or_say_what_they_are(tmp_path: Path) -> None:
    cells = ["a boat", "1984", "NA", "None", None, float("nan"), " ", 7, [1, 2], {"a": 1}, "a \ud800 cup"]
    lines = "\n".join(json.dumps({"prompt": cell, "image": "x"}) for cell in cells)
    (tmp_path / "list.jsonl").write_text(lines)
    problems: list[str] = []
    read = [row.text("prompt", problems) for row in read_table(tmp_path / "list.jsonl").values()]
    assert read == [*cells[:4], *[""] * 7]
    assert problems[:3] == ["empty prompt"] * 3
    assert [said.split(":")[0] for said in problems[3:]] == [
        "prompt is no text but int", "prompt is no text but list", "prompt is no text but tuple",
        "prompt holds characters that are no text",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["prompt,image\nNA,x\n1984,y\nnull,z\n", "NA\n1984\nnull\n"])
def test_words_that_pandas_would_eat_are_prompts(write: Write, text: str) -> None:
    name = "table.csv" if "prompt" in text else "table.txt"
    assert prompts(write(text, name)) == ["NA", "1984", "null"]


@pytest.mark.parametrize("column", ["prompt", " Prompt ", "CAPTION", "caption", "text"])
def test_names_of_columns_are_read_as_they_are_written(write: Write, column: str) -> None:
    (row,) = read_table(write(f"file_name;{column};text2\nx.png;a boat;y\n")).values()
    assert row.text("prompt", []) == "a boat"
    assert row.text("image", []) == "x.png"


@pytest.mark.parametrize("columns", ["prompt,prompt", "prompt,caption", "Caption,caption ", "text,prompt"])
def test_two_columns_of_prompts_are_refused(write: Write, columns: str) -> None:
    assert "two of the columns prompt, caption, text" in refused(write(f"{columns}\na,b\n"))
    first, second = columns.split(",")
    assert "two of the columns" in refused(write(f'{{"{first}": "a", "{second}": "b"}}', "list.jsonl"))


def test_columns_that_nobody_reads_may_be_called_alike(write: Write) -> None:
    assert prompts(write(",,prompt,url,url\n0,1,a boat,x,y\n")) == ["a boat"]


def test_a_table_without_names_is_refused_by_its_first_line(write: Write) -> None:
    said = refused(write("a red boat,0.png,verbatim\na lamp,1.png,seen\n"))
    assert "column 'prompt'" in said
    assert "'a red boat,0.png,verbatim'" in said


@pytest.mark.parametrize("name", ["table.csv", "table.txt", "table.jsonl", "table.json"])
@pytest.mark.parametrize("text", ["", "\n\n", "  \n"])
def test_an_empty_table_is_refused(write: Write, name: str, text: str) -> None:
    refused(write(text, name))


def test_what_is_no_table_is_refused(write: Write, tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "none.csv")
    assert "is a folder" in refused(tmp_path)
    assert "cannot be read" in refused(write(b"PAR1 no table PAR1", "table.parquet"))
    assert "cannot be read" in refused(write(b"\x1f\x8bno gzip", "table.csv.gz"))
    assert "Git LFS pointer" in refused(write("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"))


def test_parquet_is_read_by_its_content(tmp_path: Path) -> None:
    pd.DataFrame({"Caption": ["a boat", None, "NA"], "size": [1, 2, 3]}).to_parquet(tmp_path / "table.csv")
    rows = read_table(tmp_path / "table.csv")
    assert [row.where for row in rows.values()] == ["row 1", "row 2", "row 3"]
    assert [row.text("prompt", []) for row in rows.values()] == ["a boat", "", "NA"]


def test_of_many_broken_rows_the_first_are_named(write: Write) -> None:
    said = refused(write("prompt,image\n" + "a,b,c\n" * 500))
    assert "500 broken rows" in said
    assert "line 2:" in said
    assert len(said.splitlines()) < 30


@pytest.mark.parametrize(("name", "rows"), [
    ("memorized_laion_prompts.csv", 500),
    ("unmemorized_laion_prompts.csv", 500),
    ("coco2014_val_200.csv", 200),
])  # fmt: skip
def test_the_published_prompt_lists_are_read_whole(shared: Path, name: str, rows: int) -> None:
    expected = pd.read_csv(shared / name, sep=";", dtype=str, keep_default_na=False).Caption
    assert prompts(shared / name) == list(expected.str.lstrip(" "))
    assert len(expected) == rows
