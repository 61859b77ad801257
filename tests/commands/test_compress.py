"""``flaxchar compress`` and ``flaxchar decompress``: files there and back."""

from __future__ import annotations

import io
import zlib

from flaxchar.analysis.packing import varint


def test_a_file_is_compressed_and_restored_byte_for_byte(run, run_here, tmp_path):
    path = run
    original = tmp_path / "a.bin"
    original.write_bytes(b"Today Iraq\r\nZo\xeb \xf0\x9f\x98\x80\n")
    for name, made in (("compress", "a.bin.flaxchar"), ("decompress", "a.bin")):
        if name == "decompress":
            kept = original.read_bytes()
            original.unlink()
        source = original if name == "compress" else tmp_path / "a.bin.flaxchar"
        result = run_here(name, str(source), "--workdir", str(path))
        assert result.returncode == 0, result.stderr
        assert made in result.stdout
    assert original.read_bytes() == kept
    again = run_here("decompress", str(tmp_path / "a.bin.flaxchar"), "--workdir", str(path))
    assert again.returncode == 2
    assert "exists already" in again.stderr
    assert original.read_bytes() == kept


def test_standard_input_is_compressed_and_restored(run, run_here, tmp_path, monkeypatch):
    there, back = tmp_path / "there", tmp_path / "back"
    for name, source, made in (("compress", b"Today\r\nIraq", there), ("decompress", None, back)):
        source = there.read_bytes() if source is None else source
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(source)))
        result = run_here(name, "-", "--workdir", str(run), "--output", str(made))
        assert result.returncode == 0, result.stderr
    assert back.read_bytes() == b"Today\r\nIraq"


def test_why_a_file_did_not_become_smaller_is_told(run, run_here, tmp_path):
    for content, told in (
        ("日本語".encode("shift_jis") + b"\n", "a.txt is not UTF-8: 5 of its bytes were coded one by one"),
        ("日本語 Today".encode(), "33% of the characters of a.txt are unknown to the model"),
        (b"Today Iraq\n", ""),
        (b"", ""),
    ):
        (tmp_path / "a.txt").write_bytes(content)
        made = tmp_path / "made"
        result = run_here("compress", str(tmp_path / "a.txt"), "--workdir", str(run), "--output", str(made))
        made.unlink()
        assert result.returncode == 0
        assert (told in result.stderr.replace(f"{tmp_path}/", "")) if told else not result.stderr


def test_problems_with_files_are_reported_before_the_model_is_loaded(tmp_path, run_here):
    text = tmp_path / "a.txt"
    text.write_text("a\n")
    for arguments, told in (
        (("compress",), "needs a FILE"),
        (("compress", str(text), "--fields", "2"), "--fields goes with --label-field or --source-field"),
        (("compress", str(text), "--encoding", "cp1252"), "--encoding goes with --label-field or --source-field"),
        (("compress", "-"), "standard input has no name; name the file to write with --output"),
        (("compress", str(tmp_path / "b.txt")), "cannot be read"),
        (("compress", str(text), "--output", str(tmp_path / "no" / "b")), "there is no folder"),
        (("decompress", str(text)), "does not end in .flaxchar; name the file to write with --output"),
    ):
        result = run_here(*arguments, "--workdir", str(tmp_path / "missing"))
        assert (result.returncode, result.stdout) == (2, "")
        assert told in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_forged_file_leaves_nothing(run, run_here, tmp_path):
    """``tests/test_forged_files.py`` has the ways to forge one."""
    source = tmp_path / "a.txt"
    source.write_text("Today Iraq\n")
    assert run_here("compress", str(source), "--workdir", str(run)).returncode == 0
    source.unlink()
    forged = tmp_path / "a.txt.flaxchar"
    data = forged.read_bytes()
    body = varint(10**30 % 2**62) + data[26:]
    forged.write_bytes(data[:21] + zlib.crc32(body).to_bytes(4, "big") + body)
    result = run_here("decompress", str(forged), "--workdir", str(run))
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert f"{forged} is damaged: it claims" in result.stderr
    assert not source.exists()
    result = run_here("decompress", "/dev/zero", "--output", str(source), "--workdir", str(run))
    assert (result.returncode, result.stderr) == (2, "flaxchar: /dev/zero is a device, not a file\n")
