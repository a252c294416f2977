"""Text of any country is read in the encoding in which it was written, and that is said."""

from pathlib import Path

import pytest

from leadline.readers.encoding import guess
from leadline.readers.tabular import read_table

TEXTS = {
    "cp1251": "Размер;Цвет;Отзыв\n12,5;красный;очень хороший товар, всем советую\n7;синий;пришёл с опозданием\n",
    "koi8_r": "Размер;Цвет;Отзыв\n12,5;красный;очень хороший товар, всем советую\n7;синий;пришёл с опозданием\n",
    "cp866": "Размер;Цвет;Отзыв\n12,5;красный;очень хороший товар, всем советую\n7;синий;пришёл с опозданием\n",
    "cp1253": "Μέγεθος;Χρώμα\n12;κόκκινο και πράσινο\n7;το μπλε είναι καλύτερο\n",
    "cp1255": "גודל;צבע\n12;אדום וירוק\n7;הכחול הוא הטוב ביותר\n",
    "cp1256": "الحجم;اللون\n12;أحمر وأخضر\n7;اللون الأزرق هو الأفضل\n",
    "cp874": "ขนาด;สี\n12;สีแดงและสีเขียว\n7;สีน้ำเงินดีที่สุด\n",
    "cp932": "サイズ,色,感想\n12,赤い,とても良い商品でした\n7,青い,届くのが遅い\n",
    "euc_jp": "サイズ,色,感想\n12,赤い,とても良い商品でした\n7,青い,届くのが遅い\n",
    "gb18030": "大小,颜色,评论\n12,红色,这部电影非常好看我很喜欢\n7,蓝色,太糟糕了浪费时间\n",
    "big5": "大小,顏色,評論\n12,紅色,這部電影非常好看我很喜歡\n7,藍色,太糟糕了浪費時間\n",
    "cp949": "크기,색깔,의견\n12,빨간색,아주 좋은 상품입니다\n7,파란색,배송이 너무 늦어요\n",
    "cp1250": "Wielkość;Kolor\n12;żółty i błękitny\n7;święta są już za pasem\n",
    "cp850": "Größe;Farbe\n12;grün\n7;schön und süß\n",
}


@pytest.mark.parametrize("encoding", TEXTS)
def test_the_encoding_is_told_by_the_bytes(encoding: str) -> None:
    assert guess(TEXTS[encoding].encode(encoding)) == encoding


@pytest.mark.parametrize(
    "text",
    [
        "Größe;Straße\n12;grün\n", "prénom;français\n12;élève à l'école\n", "España;año\n12;niño pequeño\n",
        "Grötrik;ångström\n12;övrigt\n", "price\n5 \u20ac\n", "temp\n21 °C\n", "ação;coração\n12;não\n",
        "Größe;Farbe\n12;ä\n7;ö\n8;ü\n9;ä\n",
    ],
)  # fmt: skip
def test_western_text_stays_latin(text: str) -> None:
    assert guess(text.encode("cp1252")) == "latin-1"


def test_lines_of_several_hands_are_each_read_as_they_are() -> None:
    assert guess("Größe\nschön\nüber\n".encode() + "süß\n".encode("latin-1")) == "latin-1"


@pytest.mark.parametrize(("encoding", "said"), [("cp1251", "Windows-1251"), ("cp932", "Shift-JIS")])
def test_a_table_keeps_its_letters_and_the_guess_is_said(encoding: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes((TEXTS[encoding] * 1).encode(encoding))
    part = read_table(path, tmp_path / "cache")
    header = TEXTS[encoding].splitlines()[0].replace(";", ",").split(",")
    assert part.frame.collect_schema().names() == header
    assert any(f"it was read as {said}" in note for note in part.notes)
