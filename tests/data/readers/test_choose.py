"""From a folder the files are read that the user means, and what is left out is told."""

from __future__ import annotations

import pytest
from helpers import read_and_told, read_texts

from flaxchar import InputError

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(write, tmp_path):
    def folder(**files):
        for name, content in files.items():
            write(f"d/{name.replace('__', '/').replace('_', '.')}", content)
        return str(tmp_path / "d")

    return folder


def test_plain_files_of_all_endings_and_none(folder):
    assert read_texts([folder(b_md="2\n", c_py="3\n", a="1\n", sub__d_log="4\n")]) == ["1", "2", "3", "4"]


def test_hidden_empty_and_other_files_are_counted(folder, write):
    path = folder(a_txt="1\n", e_txt="", p_png=PNG, q_png=PNG, _git__x_txt="x\n", Thumbs_db="x")
    for name in (".DS_Store", "__MACOSX/a.txt", "~$a.txt", "a.txt~"):
        write(f"d/{name}", "x")
    assert read_and_told([path]) == (
        ["1"],
        [
            f"the folder {path}: left out 6 hidden files (.DS_Store, .git/x.txt, Thumbs.db and 3 more files); "
            "1 empty file (e.txt); 2 files of other kinds (p.png, q.png)"
        ],
    )


def test_with_fields_only_files_with_fields_are_read(folder):
    path = folder(README_txt="hello\n", notes_md="n\n", data_csv="title,n\nx,1\n", sub__more_jsonl='{"title": "y"}\n')
    texts, told = read_and_told([path], ["title"])
    assert texts == ["x", "y"]
    assert told == [
        f"the folder {path}: left out 2 plain text files (README.txt, notes.md), because `fields` names columns"
    ]


def test_tables_without_the_named_columns_are_left_out_and_told(folder, write):
    path = folder(a_csv="Posts\nid;text\n1;x\n", b_tsv="id\ttext\n2\ty\n", c_csv="id,target\n1,0\n")
    texts, told = read_and_told([path], ["text"])
    assert texts == ["x", "y"]
    assert f"the folder {path}: left out 1 table (c.csv), for lack of the columns that are named" in told
    with pytest.raises(InputError, match=r"a\.csv has no column 'body'"):
        read_texts([path], ["body"])
    write("d/d.csv.gz", "id,text\n3,z\n")
    assert read_texts([path], ["text"]) == ["x", "y", "z"]


def test_tables_among_plain_texts_are_not_mixed_silently(folder):
    path = folder(poem_txt="p\n", data_csv="title,n\nx,1\n")
    message = r"holds 1 table \(data.csv\) and 1 plain text file \(poem.txt\); say with `fields`"
    with pytest.raises(InputError, match=message):
        read_texts([path])


@pytest.mark.parametrize(
    "about", ["README.md", "readme.txt", "LICENSE", "license-mit.txt", "CHANGELOG", "requirements.txt"]
)
def test_files_about_the_data_are_left_out_beside_records(folder, write, about):
    path = folder(a_jsonl='{"text": "x"}\n', b_txt="y\n")
    write(f"d/{about}", "about\n")
    texts, told = read_and_told([path])
    assert texts == ["x", "y"]
    assert told == [f"the folder {path}: left out 1 plain text file ({about}), which by name describes the data"]


def test_json_about_a_data_set_is_left_out(write, tmp_path):
    path = str(tmp_path / "d")
    write("d/state.json", '["y"]')
    assert read_texts([path]) == ["y"]
    write("d/dataset_info.json", "{}")
    write("d/sub/a.json", '["x"]')
    assert read_and_told([path]) == (
        ["x"],
        [f"the folder {path}: left out 2 JSON files (dataset_info.json, state.json), which by name describe the data"],
    )


def test_a_readme_among_plain_texts_is_one_of_them(folder):
    assert read_and_told([folder(README_md="1\n", a_txt="2\n")]) == (["1", "2"], [])


def test_files_of_unknown_endings_are_read_where_there_is_nothing_else(folder):
    path = folder(a_poem2="1\n", b_poem2="2\n", c_png=PNG)
    assert read_and_told([path]) == (
        ["1", "2"],
        [
            f"the folder {path}: read by content, because their endings tell no format: a.poem2, b.poem2",
            f"the folder {path}: left out 1 file of another kind (c.png)",
        ],
    )
    assert read_texts([folder(z_txt="3\n")]) == ["3"]


def test_a_folder_without_a_readable_file_names_what_is_in_it(folder):
    path = folder(a_png=PNG, b_png=PNG, c_pdf=b"%PDF-1.4", e_txt="", f_bin=b"\0\1\2\3" * 9)
    message = (
        r"holds no file that can be read: 2 PNG pictures, 1 PDF document, 1 file of another kind \(f.bin\), "
        r"1 empty file \(e.txt\); convert them to plain text or .csv"
    )
    with pytest.raises(InputError, match=message):
        read_texts([path])


def test_the_format_that_the_user_says_holds_for_unknown_endings(folder):
    path = folder(a_dat="title\tn\nx\t1\n", b_txt="y\n", c_png=PNG)
    assert read_texts([path], ["title"], format="tsv") == ["x"]
    assert read_texts([path], format="txt") == ["title\tn", "x\t1", "y"]
