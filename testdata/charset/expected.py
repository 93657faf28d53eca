"""Writes files.json and terms.json: what pydicom 3.0.2 makes of the files beside this one and of texts in every
defined term of PS3.3 C.12.1.1.2. The Rust tests read the JSON; Python is needed only to make it anew."""

import json
import pathlib
import re
import warnings

from pydicom import dcmread
from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.valuerep import TEXT_VR_DELIMS, PersonName

HERE = pathlib.Path(__file__).parent
KINDS = {"PN": "person_name", "ST": "text", "LT": "text", "UT": "text", "SH": "values", "LO": "values", "UC": "values"}


def terms_of(dataset, inherited):
    if "SpecificCharacterSet" not in dataset:
        return inherited
    value = dataset.get_item("SpecificCharacterSet").value
    value = value.decode("ascii") if isinstance(value, bytes) else value
    return [term.strip() for term in (value.split("\\") if isinstance(value, str) else value)]


def elements(dataset, path, inherited):
    terms = terms_of(dataset, inherited)
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        name = f"{path}{tag.group:04X},{tag.element:04X}"
        if raw.VR == "SQ":
            for index, item in enumerate(dataset[tag].value):
                yield from elements(item, f"{name}[{index}].", terms)
        elif raw.VR in KINDS and raw.value:
            value = dataset[tag].value
            values = value if not isinstance(value, (str, PersonName)) else [value]
            yield {
                "element": name,
                "terms": terms,
                "kind": KINDS[raw.VR],
                "bytes": raw.value.hex(),
                "text": "\\".join(str(value) for value in values),
            }


# Term or terms, and texts that they hold.
TEXTS = {
    "ISO_IR 6": ["Smith^John^^Dr", "plain text"],
    "ISO_IR 100": ["Buc^Jérôme", "Äneas^Rüdiger", "Þórður ÿ ½ ×"],
    "ISO_IR 101": ["Łukasiewicz^Żaneta", "Dvořák^Šárka", "őű"],
    "ISO_IR 109": ["Ġużeppi^Ħalim", "Ĉapelo"],
    "ISO_IR 110": ["Kõiv^Ülo", "Ģirts ŋ ķ"],
    "ISO_IR 144": ["Люкceмбypг", "Иванов^Иван", "№ ў"],
    "ISO_IR 127": ["قباني^لنزار"],
    "ISO_IR 126": ["Διονυσιος", "Παπαδόπουλος^Γιώργος"],
    "ISO_IR 138": ["שרון^דבורה"],
    "ISO_IR 148": ["Çavuşoğlu^İpek", "ışık Ğ"],
    "ISO_IR 203": ["Œuvre^Šárka €", "ÿ Ÿ"],
    "ISO_IR 13": ["ﾔﾏﾀﾞ^ﾀﾛｳ", "ABC ｱｲｳ"],
    "ISO_IR 166": ["สมชาย^ใจดี", "กรุงเทพ"],
    "ISO_IR 192": ["Wang^XiaoDong=王^小東", "Ω≈ç√ 🏥 Ελλάδα"],
    "GB18030": ["Wang^XiaoDong=王^小东", "俓朸碶 誠 €", "㐂𠀀"],
    "GBK": ["Wang^XiaoDong=王^小东", "俓朸碶誠"],
    "\\ISO 2022 IR 87": ["Yamada^Tarou=山田^太郎=やまだ^たろう", "肺 CT 検査", "〜−‖"],
    "ISO 2022 IR 6\\ISO 2022 IR 87": ["Yamada^Tarou=山田^太郎=やまだ^たろう"],
    "ISO 2022 IR 13\\ISO 2022 IR 87": ["ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"],
    "\\ISO 2022 IR 159": ["Test^A=丂^丄"],
    "\\ISO 2022 IR 87\\ISO 2022 IR 159": ["Hino^B=日野^丂"],
    "\\ISO 2022 IR 149": ["Hong^Gildong=洪^吉洞=홍^길동", "김희중"],
    "\\ISO 2022 IR 58": ["Zhang^XiaoDong=张^小东", "肺部检查"],
    "ISO 2022 IR 100\\ISO 2022 IR 126": ["Buc^Jérôme=Διονυσιος", "é Δ é"],
    "ISO 2022 IR 100\\ISO 2022 IR 144": ["Buc^Jérôme=Люкceмбypг"],
    "ISO 2022 IR 100\\ISO 2022 IR 101": ["Jérôme^Łukasz"],
    "ISO 2022 IR 100\\ISO 2022 IR 109": ["Jérôme^Ħalim"],
    "ISO 2022 IR 100\\ISO 2022 IR 110": ["Jérôme^Ģirts"],
    "ISO 2022 IR 100\\ISO 2022 IR 127": ["Jérôme^قباني"],
    "ISO 2022 IR 100\\ISO 2022 IR 138": ["Jérôme^שרון"],
    "ISO 2022 IR 100\\ISO 2022 IR 148": ["Jérôme^Işık"],
    "ISO 2022 IR 100\\ISO 2022 IR 166": ["Jérôme^สมชาย"],
    "ISO 2022 IR 100\\ISO 2022 IR 13": ["Jérôme^ﾔﾏﾀﾞ"],
}


# What pydicom 3.0.2 does not know (ISO_IR 203), writes as question marks (ISO_IR 13) or without its escape sequence
# (ISO 2022 IR 58): by Python's codec, the escape sequence before each piece that needs it, as in PS3.5 Annex K.
BY_CODEC = {
    "ISO_IR 203": ("iso8859_15", b""),
    "ISO_IR 13": ("shift_jis", b""),
    "\\ISO 2022 IR 58": ("gb2312", b"\x1b$)A"),
}


def by_codec(text, codec, escape):
    pieces = re.split("([=^])", text)
    return b"".join(piece.encode(codec) if piece.isascii() else escape + piece.encode(codec) for piece in pieces)


def texts():
    for joined, samples in TEXTS.items():
        terms = joined.split("\\")
        for text in samples:
            kind = "person_name" if "^" in text else "values"
            if joined in BY_CODEC:
                data = by_codec(text, *BY_CODEC[joined])
            else:
                encodings = convert_encodings(terms)
                if kind == "person_name":
                    data = PersonName(text, encodings).encode(encodings)
                    back = str(PersonName(data, encodings))
                else:
                    data = encode_string(text, encodings)
                    back = decode_bytes(data, encodings, TEXT_VR_DELIMS)
                assert back == text, f"{joined}: pydicom wrote {text!r} and reads {back!r}"
            yield {"terms": terms, "kind": kind, "bytes": data.hex(), "text": text}


def write(name, value):
    (HERE / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    files = {}
    for path in sorted(HERE.glob("*.dcm")):
        files[path.name] = list(elements(dcmread(path), "", []))
    write("files.json", files)
    write("terms.json", list(texts()))
