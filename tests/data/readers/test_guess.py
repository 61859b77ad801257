"""The encoding of a text that is not UTF-8 is guessed rightly for the languages and encodings that people have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaxchar.data.readers.guess import guess_encoding, wide_encoding

GERMAN = "Die schöne Müllerin läuft über die Brücke, während Jäger übers Moor gehen. Größe und Maß sind nötig.\n"
FRENCH = "L’été dernier, la forêt était très calme et les élèves allaient à l’école où ils étudiaient le français.\n"
SPANISH = "El niño pequeño comió una piña mañana, ¿qué pasó después? ¡Señor, la canción terminó!\n"
PORTUGUESE = "A situação não é fácil; então às três da manhã os irmãos começaram a refeição.\n"
SWEDISH = "Två älgar går över ån på väg till sjön, där de äter gräs och dricker källvatten.\n"
QUOTES = "He said “it’s fine” – and left… the café wasn’t open, so they’d gone.\n"
POLISH = "Zażółć gęślą jaźń. Wczoraj wieczorem poszedłem do sklepu, żeby kupić świeży chleb i masło.\n"
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy. Včera jsem šel do obchodu koupit čerstvý chléb.\n"
HUNGARIAN = "Árvíztűrő tükörfúrógép. Tegnap este elmentem a boltba, hogy friss kenyeret vegyek.\n"
TURKISH = "Dün akşam taze ekmek ve süt almak için dükkâna gittim. Şişli'de hava çok güzeldi, ığdır.\n"
RUSSIAN = "Вчера вечером я пошёл в магазин, чтобы купить свежий хлеб и молоко. Погода была хорошая.\n"
GREEK = "Χθες το βράδυ πήγα στο κατάστημα για να αγοράσω φρέσκο ψωμί και γάλα.\n"
HEBREW = "אתמול בערב הלכתי לחנות כדי לקנות לחם טרי וחלב. מזג האוויר היה טוב.\n"
ARABIC = "ذهبت مساء أمس إلى المتجر لشراء الخبز الطازج والحليب. كان الطقس جيدا.\n"
JAPANESE = "昨日の夕方、新鮮なパンと牛乳を買うために店に行きました。天気は良かったです。\n"
CHINESE = "昨天晚上我去商店买新鲜的面包和牛奶。天气很好，我们在公园里散步。\n"
KOREAN = "어제 저녁에 신선한 빵과 우유를 사러 가게에 갔습니다. 날씨가 좋았습니다.\n"
THAI = "เมื่อวานตอนเย็นฉันไปที่ร้านเพื่อซื้อขนมปังสดและนม อากาศดีมาก\n"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((text, "cp1252") for text in (GERMAN, FRENCH, SPANISH, PORTUGUESE, SWEDISH, QUOTES)),
        (GERMAN, "cp850"),
        (FRENCH, "mac_roman"),
        *((text, "cp1250") for text in (POLISH, CZECH, HUNGARIAN)),
        *((text, "iso8859-2") for text in (POLISH, CZECH)),
        (TURKISH, "cp1254"),
        *((RUSSIAN, encoding) for encoding in ("cp1251", "koi8_r", "cp866")),
        (GREEK, "cp1253"),
        (HEBREW, "cp1255"),
        (ARABIC, "cp1256"),
        *((JAPANESE, encoding) for encoding in ("shift_jis", "euc_jp")),
        (CHINESE, "gb18030"),
        (KOREAN, "euc_kr"),
        (THAI, "cp874"),
        ("Zoë", "cp1252"),
        ("20 °C ± 2, 3×4 m² for 5 €\n", "cp1252"),
        ("Într-o zi frumoasă, copiii au plecat în pădure şi au găsit ciuperci.\n", "cp1250"),
        ("Українська мова є дуже гарною, її люблять люди.\n", "cp1251"),
        ("İstanbul'da yağmur yağıyordu; çocuklar okula gitmedi.\n", "cp1254"),
        ("Привет\n", "cp1251"),
    ],
)
def test_the_guess_decodes_the_text(text, encoding):
    plain = b"An English line before it.\n"
    for sample in (text.encode(encoding), plain * 20 + text.encode(encoding) + plain, text.encode(encoding) * 30):
        guess = guess_encoding(sample)
        assert sample.decode(guess) == sample.decode(encoding)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_guessed_at(sample):
    guess = guess_encoding(sample)
    assert guess is None or "a".encode(guess)
    wide_encoding(sample)


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, JAPANESE, CHINESE, THAI, "a\n", "1,2\n"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_unicode_without_its_mark_is_told_by_its_zero_bytes(text, encoding):
    assert wide_encoding(text.encode(encoding)) == encoding


@pytest.mark.parametrize(
    "data",
    [b"", b"text", b"a\nb\0c", b"field\0\0\0\0,field\0\0\0\n" * 9, GERMAN.encode() + b"\0", b"a\0bcd\0efgh\0ij" * 5],
)
def test_stray_zero_bytes_are_no_sign_of_it(data):
    assert wide_encoding(data) is None
