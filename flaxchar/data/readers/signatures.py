"""Kinds of files that hold no readable text, told by their first bytes, and what to convert each of them to."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

# Bytes of a file that are enough to tell its kind.
HEAD = 1 << 16

_AS_TEXT = "convert it to plain text, for example with {}"
_AS_TABLE = "save its table as .csv or .parquet"
_NO_TEXT = "leave it out, because it holds no text"
_UNPACK = "unpack it and give the files in it"


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
      name: for people, with its article: "a PDF document".
      advice: what to do with such a file.
    """

    name: str
    advice: str

    def counted(self, number: int) -> str:
        """So many files of this kind: "2 PDF documents"."""
        return f"{number:,} {self.name.split(' ', 1)[1]}{'s' * (number != 1)}"


_PICTURE = "make text of it with text recognition, for example tesseract, or leave it out"
_EXECUTABLE = Kind("an executable file", _NO_TEXT)
_TEX_FONT = Kind("a font", _NO_TEXT)

# A pattern for the first bytes of each kind, in the order in which they are tried. Where the first bytes are letters
# that a text may begin with, the pattern goes on to bytes that no text has.
_SIGNATURES: list[tuple[bytes, Kind]] = [
    (rb"%PDF-\d", Kind("a PDF document", _AS_TEXT.format("pdftotext"))),
    (rb"\x89PNG\r\n\x1a\n", Kind("a PNG picture", _PICTURE)),
    (rb"\xff\xd8\xff", Kind("a JPEG picture", _PICTURE)),
    (rb"GIF8[79]a", Kind("a GIF picture", _PICTURE)),
    (rb"RIFF....WEBP", Kind("a WebP picture", _PICTURE)),
    (rb"BM.{4}\0{4}.{3}\0", Kind("a BMP picture", _PICTURE)),
    (rb"II\*\0|MM\0\*", Kind("a TIFF picture", _PICTURE)),
    (rb"\0\0[\x01\x02]\0[\x01-\xff]\0", Kind("an icon", _PICTURE)),
    (rb"8BPS\0", Kind("a Photoshop picture", _PICTURE)),
    (rb"AT&TFORM", Kind("a DjVu document", _AS_TEXT.format("djvutxt"))),
    (rb"....ftyp(hei|hev|mif|avif)", Kind("a HEIF picture", _PICTURE)),
    (rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51", Kind("a JPEG 2000 picture", _PICTURE)),
    (rb"....ftyp|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|\0\0\x01[\xb3\xba]", Kind("a video", _NO_TEXT)),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind("a video", _NO_TEXT)),
    (rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]|OggS\0|fLaC\0|RIFF....WAVE", Kind("an audio file", _NO_TEXT)),
    (rb"FORM....AIF[FC]|MThd\0\0\0|#!AMR", Kind("an audio file", _NO_TEXT)),
    (rb"\{\\rtf", Kind("an RTF document", _AS_TEXT.format("pandoc or a word processor"))),
    (rb"%!PS", Kind("a PostScript document", _AS_TEXT.format("ps2ascii"))),
    (rb".{60}BOOKMOBI", Kind("a Mobipocket e-book", _AS_TEXT.format("ebook-convert"))),
    (rb"ITSF\x03\0", Kind("a Windows help file", _AS_TEXT.format("a converter for .chm"))),
    (
        rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        Kind("an old Office document (.doc, .xls or .ppt)", "save it as plain text, or as .csv if it is a table"),
    ),
    (rb"SQLite format 3\0", Kind("an SQLite database", "export the table as .csv, for example with sqlite3 -csv")),
    (rb"\x7fELF|MZ[^\n]{0,60}\0|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe|\0asm", _EXECUTABLE),
    (rb"!<arch>\n", Kind("a library or package of programs", _NO_TEXT)),
    (rb"\xed\xab\xee\xdb", Kind("a package of programs", _NO_TEXT)),
    (rb"OTTO\0|\0\x01\0\0\0.|wOF[F2]\0|ttcf\0", _TEX_FONT),
    (
        rb"\x80[\x02\x03][\x28\x4b\x4d\x4a\x58\x5d\x63\x71\x7d\x8a\x8c]|\x80[\x04\x05]\x95",
        Kind("a Python pickle", "write the texts as .jsonl or plain text; a pickle can run code when it is opened"),
    ),
    (rb"ARROW1\0\0|FEA1|\xff{4}..\0\0", Kind("an Arrow file", "save the table as .parquet or .csv")),
    (rb"ORC(?:[\x08\x12]|\x0a[\0-\x08\x0e-\x1f])", Kind("an ORC file", _AS_TABLE)),
    (rb"Obj\x01", Kind("an Avro file", "save its records as .jsonl")),
    (rb"\x89HDF\r\n\x1a\n", Kind("an HDF5 file", "write the texts as .jsonl or .csv")),
    (rb"\x93NUMPY", Kind("a NumPy array", "write the texts as plain text, one a line")),
    (rb"RD[AX][23]\n", Kind("an R data file", "save the table as .csv, with write.csv")),
    (rb"\$FL[23]@\(#\)|<stata_dta>", Kind("a data file of SPSS or Stata", _AS_TABLE)),
    (rb"GGUF[\x01-\x09]\0|.{3}[\0\x01]\0{4}\{\"", Kind("a file of model weights", _NO_TEXT)),
    (rb"7z\xbc\xaf\x27\x1c", Kind("a 7z archive", _UNPACK)),
    (rb"Rar!\x1a\x07", Kind("a RAR archive", _UNPACK)),
    (rb"\x04\x22\x4d\x18", Kind("an lz4 file", _UNPACK)),
    (rb"LZIP\x01|\x1f\x9d|MSCF\0", Kind("a packed file", _UNPACK)),
    (rb"PACK\0\0\0", Kind("a Git pack", _NO_TEXT)),
    (
        rb"version https://git-lfs\.github\.com/spec/v1\r?\noid ",
        Kind("a Git LFS pointer", "it only stands for the file; fetch the file itself with git lfs pull"),
    ),
    (
        rb'\s*\{\s*"cells"\s*:\s*\[.*"(?:cell_type|nbformat)"',
        Kind("a Jupyter notebook", "convert it to plain text, for example with jupyter nbconvert --to markdown"),
    ),
]
_COMPILED = [(re.compile(pattern, re.DOTALL), kind) for pattern, kind in _SIGNATURES]

# Documents that are zip files: by the name of a file in them, or by what their file "mimetype" says.
_BY_MEMBER = {
    "word/": Kind("a Word document", _AS_TEXT.format("pandoc")),
    "xl/": Kind("an Excel workbook", "save the sheet as .csv"),
    "ppt/": Kind("a PowerPoint presentation", "save its text as plain text"),
    "visio/": Kind("a Visio drawing", _NO_TEXT),
    "Index/Document.iwa": Kind("an iWork document", "export it as plain text or .csv"),
    "AndroidManifest.xml": Kind("an Android app", _NO_TEXT),
    "META-INF/MANIFEST.MF": Kind("a Java archive", _NO_TEXT),
}
_BY_MIMETYPE = {
    b"application/epub+zip": Kind("an EPUB e-book", _AS_TEXT.format("pandoc or ebook-convert")),
    b"application/vnd.oasis.opendocument.text": Kind("an OpenDocument text", _AS_TEXT.format("pandoc")),
    b"application/vnd.oasis.opendocument.spreadsheet": Kind("an OpenDocument spreadsheet", "save the sheet as .csv"),
    b"application/vnd.oasis.opendocument": Kind("an OpenDocument file", "save its text as plain text"),
}


def unreadable(head: bytes) -> Kind | None:
    """The kind of a file that no reader can read; None where its first bytes tell no such kind."""
    return next((kind for pattern, kind in _COMPILED if pattern.match(head)), None)


def zip_document(names: Collection[str], mimetype: bytes) -> Kind | None:
    """The kind of a document or program that is a zip file; None for an ordinary archive.

    Args:
      names: of the files in it.
      mimetype: the content of its file "mimetype", empty where it has none.
    """
    for kind_of_mime, kind in _BY_MIMETYPE.items():
        if mimetype.startswith(kind_of_mime):
            return kind
    for prefix, kind in _BY_MEMBER.items():
        office = prefix.endswith("/")
        if any(name.startswith(prefix) for name in names) and (not office or "[Content_Types].xml" in names):
            return kind
    if names and all(name.endswith(".npy") for name in names):
        return Kind("a NumPy archive", "write the texts as plain text, one a line")
    if any(name.endswith("/data.pkl") for name in names):
        return Kind("a file of model weights", _NO_TEXT)
    return None
