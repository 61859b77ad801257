"""Guesses of the encoding of bytes that are not UTF-8, to be confirmed by the user.

charset-normalizer tells scripts apart, but takes one Latin alphabet for another, because they share most letters. So
the Latin and the Cyrillic encodings are told here, by their letters and where these stand.
"""

from __future__ import annotations

import codecs
import re

_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\b\f\v\x1a\x1b"))
# Latin encodings in the order in which a draw is decided, each with the letters of a group of languages.
_WESTERN = "äöüßéèêëàâîïôùûçœæñáíóúìòåøã"
_LATIN = (
    ("cp1252", _WESTERN),
    ("cp1252", "ãõáéíóúâêôàçäöü"),
    ("cp1250", "ąćęłńóśźż"),
    ("cp1250", "áčďéěíňóřšťúůýžäĺľôŕđć"),
    ("cp1250", "áéíóöőúüű"),
    ("cp1250", "ăâîşţ"),
    ("iso8859_2", "ąćęłńóśźż"),
    ("iso8859_2", "áčďéěíňóřšťúůýžäĺľôŕđć"),
    ("cp1254", "ğışçöüâîûİ"),
    ("cp1257", "ąčęėįšųūžāēģīķļņõäöü"),
    ("mac_roman", _WESTERN),
    ("cp850", _WESTERN),
    ("cp437", _WESTERN),
)
_CYRILLIC = ("cp1251", "koi8_r", "cp866")
_OTHERS = ("cp1253", "cp1255", "cp1256", "cp874", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "cp1258")
# A sample of fewer bytes is too short for charset-normalizer.
_SHORT = 100
_PUNCTUATION = "“”‘’„‚«»‹›–—…•·§°©®™€£¥¿¡½¼¾×±\xa0"
_AFTER_A_WORD = "ºª²³"


def guess_encoding(sample: bytes) -> str | None:
    """The most likely encoding of bytes that are not UTF-8, by its Python name; None where there is no good guess.

    Args:
      sample: some thousand bytes around one that is not UTF-8. It may begin and end within a character.
    """
    high = sum(byte > 0x7F for byte in sample)
    words = b"".join(re.findall(rb"[A-Za-z]*[\x80-\xff][A-Za-z\x80-\xff]*", sample))
    letters = len(words) - high
    scores = [_latin_score(sample, codec, letters) for codec, letters in _LATIN]
    score, latin = max(scores), _LATIN[scores.index(max(scores))][0]
    latin = latin.replace("_", "-")
    if letters >= high:
        return latin if score > 0.5 * high else None
    for codec in _CYRILLIC:
        if _is_cyrillic(sample.decode(codec, "replace")):
            return codec.replace("_", "-")
    foreign = b"\n".join(line for line in sample.split(b"\n") if not line.isascii())
    if score == high and (len(sample) < _SHORT or high < len(foreign) / 4):
        return latin  # signs such as ° and € alone
    from charset_normalizer import from_bytes

    for part in (foreign, foreign[1:], foreign[:-1], foreign[1:-1]):  # it may begin or end within a character
        if (match := from_bytes(part, cp_isolation=[*_OTHERS]).best()) is not None:
            return match.encoding.replace("_", "-")
    return None


def wide_encoding(head: bytes) -> str | None:
    """UTF-16 or UTF-32 without its byte order mark, told by where the zero bytes stand; None for other bytes."""
    zeros = head.count(0)
    if not zeros or (zeros < len(head) / 4 and is_utf8(head) and control_share(head.replace(b"\0", b"")) < 0.05):
        return None  # a text with some zero bytes in it
    data = head[: len(head) // 4 * 4]
    quarter = len(data) // 4
    at = [data[k::4].count(0) for k in range(4)]
    if quarter and at[3] == quarter and at[2] > 0.9 * quarter > at[0]:
        return _if_text(data, "utf-32-le")
    if quarter and at[0] == quarter and at[1] > 0.9 * quarter > at[3]:
        return _if_text(data, "utf-32-be")
    data = head[: len(head) // 2 * 2]
    first, second = data[::2].count(0), data[1::2].count(0)
    enough = max(1, len(data) // 200)  # spaces, digits and line feeds have a zero byte in every script
    if second >= enough and first <= second // 20:
        return _if_text(data, "utf-16-le")
    if first >= enough and second <= first // 20:
        return _if_text(data, "utf-16-be")
    return None


def control_share(data: bytes) -> float:
    """The share of bytes that are control characters which no text holds."""
    return (len(data) - len(data.translate(None, _CONTROLS))) / max(1, len(data))


def is_utf8(head: bytes) -> bool:
    """Whether bytes are UTF-8 throughout; the last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _if_text(data: bytes, codec: str) -> str | None:
    text = data.decode(codec, "ignore")
    strange = len(re.findall(r"[\0-\x08\x0e-\x1f\ud800-\udfff\ue000-\uf8ff\ufff0-\uffff]", text))
    return codec if text and strange <= 0.02 * len(text) else None


def _latin_score(sample: bytes, codec: str, letters: str) -> int:
    """How many of the characters beyond ASCII are where they may stand, less those that are not."""
    score = 0
    known = set(letters + letters.upper())
    for match in re.finditer(r"(?<=(.))?([^\x00-\x7f])(?=(.))?", sample.decode(codec, "replace"), re.DOTALL):
        before, character, after = (group or " " for group in match.groups())
        within_word = before.isalpha() and after.isalpha()
        placed = character in _PUNCTUATION and (not within_word or character in "’·\xa0–—")
        placed = placed or (character in _AFTER_A_WORD and before.isalnum() and not after.isalpha())
        if character in known:
            # A capital after a small letter is a sign of another encoding.
            score += -1 if character.isupper() and before.islower() else 1
        elif placed:
            score += 1
        else:
            score -= 1
    return score


def _is_cyrillic(text: str) -> bool:
    """Whether nearly all that is not ASCII are Cyrillic letters, capitals only where words begin."""
    high = len(re.findall(r"[^\x00-\x7f]", text))
    small = len(re.findall(r"[а-яёіїєґў]", text))
    wrong = len(re.findall(r"[а-яё][А-ЯЁ]|[A-Za-z][а-яё]", text))
    wrong += len(re.findall(r"[^\x00-\x7fа-яёіїєґўА-ЯЁІЇЄҐЎ«»–—“”„№…’ \xa0]", text))
    # The letters of Hebrew have the codes of small Cyrillic ones before these.
    own = re.search(r"[ыэюяА-ЯЁ]", text) is not None
    return own and small > 0.6 * high and wrong <= 0.05 * high
