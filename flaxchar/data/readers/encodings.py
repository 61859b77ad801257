"""From the bytes of a file to its characters, and what to say where the encoding is another one."""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Iterable, Iterator

from flaxchar.config import InputError
from flaxchar.data.readers.guess import control_share, guess_encoding, is_utf8, wide_encoding
from flaxchar.data.readers.reading import Findings

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Codecs of Python that turn bytes into strings, but are no encodings of text files.
_NO_FILES = ("idna", "punycode", "undefined")
_UNICODE = re.compile(r"utf-(8|16|32)(-[lb]e)?$")
_SURROGATES = re.compile("[\ud800-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
# How ISO-2022-JP, which has no bytes beyond ASCII, begins Japanese characters.
_JAPANESE = re.compile(rb"\x1b\$[@B]")
# Texts are decoded twice if this share of those beyond ASCII looks encoded twice; the others may be damaged.
_NEARLY_ALL = 0.95
# Control characters of latin-1 that no text has; in cp1252 the same bytes are quotation marks, dashes and the euro.
_C1 = re.compile("[\x80-\x84\x86-\x9f]")
# What the signs from U+00A0 to U+00BF and the letters from à to ÿ become when they are encoded twice.
_TWICE = re.compile("[ÂÃ][\xa0-\xbf]")
# Fewer texts with these may speak of encodings, or have a capital before a sign.
_SEVERAL = 3
# Bytes that go on with a character of UTF-8.
_CONTINUING = bytes(range(0x80, 0xC0))
# With a larger share of control characters, a file is no text.
_BINARY_SHARE = 0.05
# Bytes around one that cannot be decoded, from which the encoding is guessed.
_SAMPLE = 1 << 14


def find_codec(encoding: str) -> str:
    """The name by which Python knows an encoding.

    Raises:
      InputError: there is no such encoding, or it is no encoding of texts, such as base64.
    """
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise InputError(f"`encoding` is {encoding!r}; there is no encoding of that name") from None
    if not codec._is_text_encoding or codec.name in _NO_FILES:
        raise InputError(f"`encoding` is {encoding!r}, which is no encoding of text files; leave it out for UTF-8")
    return "utf-8" if codec.name == "utf-8-sig" else codec.name


def encoding_name(codec: str) -> str:
    """An encoding as people write it: UTF-8, UTF-16-LE, latin-1, cp1252."""
    return codec.upper() if codec.startswith("utf") else {"iso8859-1": "latin-1"}.get(codec, codec)


def sample_text(head: bytes, encoding: str) -> str:
    """The first characters of a file, as far as they can be decoded."""
    codec = _marked(head, find_codec(encoding)) or find_codec(encoding)
    try:
        return head.decode(codec, "ignore").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeError:
        return ""


def is_binary(data: bytes) -> bool:
    """Whether bytes hold more control characters than any text does."""
    if _marked(data, "utf-8") is not None or wide_encoding(data) is not None:
        return False
    return control_share(data) > _BINARY_SHARE


def encoded_twice(texts: Iterable[str]) -> bool:
    r"""Whether texts are UTF-8 that was read as latin-1, beyond doubt.

    Nearly all of those beyond ASCII must have characters that are bytes of UTF-8. That alone is no proof: "80 Å²",
    "CAFÉ®" and an article on "Ã©" have such too. The proof is a control character of latin-1, which ’, … and emoji
    leave behind, or Â or Ã before a sign from U+00A0 to U+00BF, which é and ñ leave behind, in several different texts.

    Example::

        encoded_twice(["ZoÃ«", "Ann", "yes ð\x9f\x98\x80"])  # True
        encoded_twice(["CAFÉ®", "tea"])  # False
    """
    texts = [text for text in texts if not text.isascii()]
    twice = [text for text in texts if encoded_once(text) != text]
    if not twice or len(twice) < _NEARLY_ALL * len(texts):
        return False
    return any(map(_C1.search, twice)) or sum(_TWICE.search(text) is not None for text in set(twice)) >= _SEVERAL


def encoded_once(text: str) -> str:
    """A text without its second encoding; the text itself if it has none.

    Example::

        encoded_once("ZoÃ«")  # "Zoë"
    """
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def decode(data: Iterator[bytes], head: bytes, encoding: str, name: str, findings: Findings) -> Iterator[str]:
    """Decode a file, with a line feed at the end of each line.

    A byte order mark decides over ``encoding``. Zero bytes and further byte order marks are dropped, halves of
    surrogate pairs become U+FFFD; all are counted.

    Args:
      data: the bytes of the file, a block at a time.
      head: its first bytes, on which decisions are based.
      encoding: its encoding, by its Python name.
      name: the file, for messages.
      findings: told what is decided, dropped and replaced.

    Raises:
      InputError: the file cannot be decoded; the message names the byte and, where it can be guessed, the encoding.
    """
    codec = _settle(find_codec(encoding), head, name, findings)
    # What `io.TextIOWrapper` decodes with. The wrapper itself would not tell which byte of the file cannot be decoded,
    # and standard input cannot be read a second time to find it.
    plain = codecs.getincrementaldecoder(codec)()
    decoder = io.IncrementalNewlineDecoder(plain, translate=True)
    cleaner = _Cleaner(head, codec, name, findings)
    size, recent = 0, b""  # the bytes read, and the last ones before this part
    for part in itertools.chain(data, [b""]):
        size += len(part)
        try:
            text = decoder.decode(part, final=not part)
        except UnicodeDecodeError as strict:
            try:
                if not _UNICODE.match(codec):
                    raise
                # Halves of surrogate pairs are mended. A failed call leaves the decoder as it was.
                plain.errors, cleaner.with_surrogates = "surrogatepass", True
                text = decoder.decode(part, final=not part)
            except UnicodeDecodeError as error:
                waiting = "\r" if decoder.getstate()[1] & 1 else ""  # it may be half of the end of a line
                before = waiting + error.object[: error.start].decode("latin-1")
                before = before.replace("\0", "\n") if cleaner.lists else before
                cleaner.line += io.IncrementalNewlineDecoder(None, True).decode(before, final=True).count("\n")
                raise _undecodable(error, recent + part, size, cleaner.line, codec, name) from strict
        except UnicodeError as error:
            raise InputError(f"{name} is not {encoding_name(codec)}; name the file's `encoding`") from error
        yield cleaner.clean(text, final=not part)
        recent = (recent + part)[-_SAMPLE:] if len(part) < _SAMPLE else part[-_SAMPLE:]


def _marked(head: bytes, codec: str) -> str | None:
    """The encoding that a byte order mark tells, if there is one.

    The mark of UTF-16 is two letters in other encodings, so beside such a one it counts only if zero bytes follow.
    """
    for mark, marked in _MARKS:
        if head.startswith(mark) and (len(mark) > 2 or codec.startswith("utf") or b"\0" in head):
            return marked
    return None


def _settle(codec: str, head: bytes, name: str, findings: Findings) -> str:
    """The encoding to decode a file with: that of its byte order mark, else the one that the user said."""
    marked = _marked(head, codec)
    if marked is not None:
        if not marked.startswith(codec):
            findings.note(f"{name} is read as {encoding_name(marked)[:6].rstrip('-')}, by its byte order mark")
        return marked
    if codec in ("utf-16", "utf-32"):
        guess = wide_encoding(head)
        ordered = guess if guess is not None and guess.startswith(codec) else f"{codec}-le"
        if head:
            findings.note(f"{name} has no byte order mark and is read as {encoding_name(ordered)}")
        return ordered
    if b"\0" in head and not codec.startswith(("utf-16", "utf-32")):
        if (guess := wide_encoding(head)) is not None:
            raise InputError(
                f'{name} is not {encoding_name(codec)}; it looks like {encoding_name(guess)}: add `encoding="{guess}"`'
            )
        if is_binary(head.replace(b"\0", b"")):
            position = head.index(b"\0")
            line = head.count(b"\n", 0, position) + 1
            raise InputError(f"{name}, line {line}: {_no_text(0, position)}")
    if codec == "utf-8" and _JAPANESE.search(head):
        raise InputError(f'{name} is not UTF-8; it looks like ISO-2022-JP: add `encoding="iso2022-jp"`')
    if not _UNICODE.match(codec) and not head.isascii() and is_utf8(head):
        findings.note(
            f"{name} is read as {encoding_name(codec)}, as `encoding` says, but looks like UTF-8; if texts look wrong, "
            "leave out `encoding`"
        )
    return codec


def _no_text(byte: int, position: int) -> str:
    return f"holds bytes that are no text; the first is 0x{byte:02x} (number {position + 1} of the file)"


def _undecodable(error: UnicodeDecodeError, read: bytes, size: int, line: int, codec: str, name: str) -> InputError:
    """What is said of a byte that cannot be decoded.

    Args:
      error: which byte of which bytes it is.
      read: the last bytes that were read, those of ``error`` among them.
      size: how many bytes were read altogether.
      line: the line of the byte.
      codec: the encoding.
      name: the file.
    """
    byte, after = error.object[error.start], len(error.object) - error.start  # the byte itself and those after it
    sample = read[max(0, len(read) - after - _SAMPLE) : len(read) - after + _SAMPLE]
    position = size - after
    where, is_not = f"{name}, line {line}", f"is not {encoding_name(codec)}"
    if codec != "utf-8" and _is_mostly_utf8(sample):
        return InputError(
            f"{where}: byte 0x{byte:02x} (number {position + 1} of the file) {is_not}; it looks like UTF-8: leave out "
            "`encoding`"
        )
    if is_binary(sample):
        return InputError(f"{where}: {_no_text(byte, position)}")
    told = f"{where}: byte 0x{byte:02x} (number {position + 1} of the file) {is_not}"
    if codec.startswith(("utf-16", "utf-32")) and error.reason == "truncated data":
        return InputError(f"{where}: the file ends within a character of {encoding_name(codec)}; it is cut short")
    if codec == "utf-8" and after < 4 and error.reason == "unexpected end of data":
        before = sample[:-after]
        if _is_mostly_utf8(before) or (before.isascii() and after > 1):
            return InputError(f"{where}: the file ends within a character of UTF-8; it is cut short")
    if codec == "utf-8" and _is_mostly_utf8(sample):
        return InputError(
            f"{told}, though the text around it is; mend that line, or drop such bytes with iconv -c -f utf-8 -t utf-8"
        )
    guess = guess_encoding(sample)
    if guess is None or guess == codec:
        return InputError(f"{told}; name the file's `encoding`, or leave the file out if it is no text")
    return InputError(f'{told}; the file looks like {encoding_name(guess)}: add `encoding="{guess}"`')


def _is_mostly_utf8(sample: bytes) -> bool:
    """Whether there are more characters of several bytes of UTF-8 than bytes that belong to none."""
    text = sample.lstrip(_CONTINUING).decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return sum(character > "\x7f" for character in text) - bad > bad


class _Cleaner:
    """Drops and replaces characters that stand in files by mistake, and counts lines.

    Attributes:
      line: the line of the file that is reached.
      with_surrogates: whether the text may hold halves of surrogate pairs.
      lists: whether zero bytes end lines.
    """

    def __init__(self, head: bytes, codec: str, name: str, findings: Findings) -> None:
        self.line = 1
        self.with_surrogates = not _UNICODE.match(codec)
        self._name, self._findings, self._latin = name, findings, codec == "iso8859-1"
        self._first = True
        self._held = ""  # the end of the last block: half of a pair, or what may be the end-of-file sign of DOS
        # Names that find -print0 writes end with zero bytes.
        self.lists = b"\n" not in head and b"\r" not in head and head.count(b"\0") > 1 and b"\0\0" not in head
        self.lists = self.lists and not codec.startswith(("utf-16", "utf-32"))

    def clean(self, text: str, final: bool) -> str:
        text = self._held + text
        self._held = ""
        if self._first and text:
            text, self._first = text.removeprefix("\ufeff"), False
        if "\ufeff" in text:
            text = self._replace(text, "\ufeff", "", "byte order marks dropped from the middle of files: {}")
        if "\0" in text:
            if self.lists:
                self._findings.note(f"{self._name}: zero bytes are read as the ends of lines")
                text = text.replace("\0", "\n")
            else:
                text = self._replace(text, "\0", "", "zero bytes dropped: {}")
        if text.endswith("\x1a") and final:
            text = self._replace(text, "\x1a+\\Z", "", "end-of-file signs (Ctrl-Z) dropped: {}")
        elif text.endswith("\x1a"):
            whole = text.rstrip("\x1a")
            text, self._held = whole, text[len(whole) :]
        if self._latin and (first := _C1.search(text)) is not None:
            sentence = (
                'control characters that are signs such as ’ and € in cp1252, which `encoding="cp1252"` reads: {}'
            )
            line = self.line + text.count("\n", 0, first.start())
            self._findings.count(sentence, f"{self._name}, line {line}", len(_C1.findall(text)))
        if self.with_surrogates:
            text = self._without_surrogates(text, final)
        self.line += text.count("\n")
        return text

    def _without_surrogates(self, text: str, final: bool) -> str:
        if not final and "\ud800" <= text[-1:] <= "\udbff":
            text, self._held = text[:-1], text[-1] + self._held
        if _SURROGATES.search(text) is None:
            return text
        # Some programs write each half of a pair as a character of its own.
        text = _PAIR.sub(lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)
        return self._replace(text, _SURROGATES, "\ufffd", "halves of surrogate pairs replaced by U+FFFD: {}")

    def _replace(self, text: str, old: str | re.Pattern[str], new: str, sentence: str) -> str:
        first = re.search(old, text)
        if first is None:
            return text
        cleaned, times = re.subn(old, new, text)
        line = self.line + text.count("\n", 0, first.start())
        self._findings.count(sentence, f"{self._name}, line {line}", times)
        return cleaned
