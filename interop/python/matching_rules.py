"""Attribute matching as PS3.4 C.2.2.2 has it, and which level an attribute belongs to (PS3.3 C.7, PS3.4 C.6).

Written from the standard, on pydicom; nothing of dicomet is in it. Where the standard leaves a choice to the archive,
CONFORMANCE.md says which was made: case and accents do not count in names, a name key of one component group is for
any group, several values of a key are alternatives unless multiple value matching was negotiated and the attribute may
have several.
"""

import re
import unicodedata
from datetime import datetime, timedelta

from pydicom.datadict import dictionary_has_tag, dictionary_VM

PATIENT, STUDY, SERIES, IMAGE = range(4)
UNIQUE_KEYS = [0x00100020, 0x0020000D, 0x0020000E, 0x00080018]

# PS3.3 C.7.1.1 and C.7.1.3: what is said of the patient.
PATIENT_TAGS = {
    0x00081120, 0x00100010, 0x00100020, 0x00100021, 0x00100024, 0x00100030, 0x00100032, 0x00100040, 0x00101000,
    0x00101001, 0x00102160, 0x00104000, 0x00120062, 0x00120063, 0x00120064, 0x00120010, 0x00120020, 0x00120021,
    0x00120030, 0x00120031, 0x00120040, 0x00120042,
}
# PS3.3 C.7.2.1 to C.7.2.3, PS3.4 Table C.6-2 and C.6-5.
STUDY_TAGS = {
    0x00080020, 0x00080030, 0x00080050, 0x00080051, 0x00080061, 0x00080062, 0x00080063, 0x00080090, 0x00080096,
    0x00081030, 0x00081032, 0x00081048, 0x00081060, 0x00081080, 0x00081110, 0x00101010, 0x00101020, 0x00101030,
    0x00102180, 0x001021B0, 0x0020000D, 0x00200010, 0x00201070, 0x00201206, 0x00201208, 0x00120050, 0x00120051,
    0x00321060, 0x00321032, 0x00380010,
}
# PS3.3 C.7.3.1, C.7.4.1, C.7.5.1.
SERIES_TAGS = {
    0x00080021, 0x00080031, 0x00080060, 0x00080064, 0x00080070, 0x00080080, 0x00080081, 0x0008103E, 0x0008103F,
    0x00081040, 0x00081010, 0x00081050, 0x00081070, 0x00081090, 0x00081111, 0x00081250, 0x00180015, 0x00181000,
    0x00181020, 0x00181030, 0x00181050, 0x00181200, 0x00181201, 0x00185100, 0x00200011, 0x0020000E, 0x00200052,
    0x00200060, 0x00201040, 0x00201209, 0x00280108, 0x00280109, 0x00400244, 0x00400245, 0x00400253, 0x00400254,
    0x00400275,
}


def level_of(tag):
    """The level of an attribute: what is in no module of patient, study and series is of the instance."""
    for level, tags in ((PATIENT, PATIENT_TAGS), (STUDY, STUDY_TAGS), (SERIES, SERIES_TAGS)):
        if tag in tags:
            return level
    return IMAGE


# Some VRs have their values compared as texts, with wildcards; of the long ones, a value is all of it.
WITH_WILDCARDS = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
# C.2.2.2.8: the VRs of multiple value matching, where the VM of the attribute is greater than 1.
SEVERAL_OF_SEVERAL = {"AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"}
MATCHED = WITH_WILDCARDS | {"AS", "DA", "TM", "DT", "DS", "IS", "UI", "US", "SS", "UL", "SL"}


def values(element):
    """The values of an element as texts without padding."""
    if element is None or element.value is None or element.VM == 0 and not element.value:
        return []
    several = element.value if element.VM > 1 else [element.value]
    return [str(value).strip(" \0") for value in several]


def may_have_several(tag, vr):
    """Whether an attribute is one for multiple value matching; of a private one nobody knows."""
    return vr in SEVERAL_OF_SEVERAL and dictionary_has_tag(tag) and dictionary_VM(tag) != "1"


def matches(element, tag, vr, key, negotiated):
    """Whether an element (None when absent) is what the values of a key ask for."""
    stored = values(element)
    if not key or key == [""] or set(key[0]) == {"*"} and len(key) == 1:
        return True
    if vr == "PN" and all(set(one) <= set("^=") for one in key):
        return True
    if key == ['""'] and negotiated:
        return all(value == "" for value in stored)
    if negotiated and may_have_several(tag, vr):
        return all(any(value_matches(vr, one, value) for value in stored) for one in key)
    return any(value_matches(vr, one, value) for one in key for value in stored)


def value_matches(vr, key, value):
    if vr == "PN":
        return name_matches(key, value)
    if vr in ("DA", "TM", "DT"):
        moment = moments(vr, value)
        least, most = range_of(vr, key)
        return moment is not None and value != "" and least <= moment[0] <= most
    if vr in ("IS", "DS", "US", "SS", "UL", "SL"):
        try:
            return float(key) == float(value)
        except ValueError:
            return key == value
    if vr in WITH_WILDCARDS:
        return pattern(key).fullmatch(value) is not None
    return key == value


def pattern(key):
    parts = {"*": ".*", "?": "."}
    return re.compile("".join(parts.get(one, re.escape(one)) for one in key), re.DOTALL)


def folded(text):
    """Without case and accents."""
    apart = unicodedata.normalize("NFKD", text)
    bare = "".join(one for one in apart if not "\u0300" <= one <= "\u036f")
    return unicodedata.normalize("NFC", bare.casefold())


def groups_of(name):
    groups = [
        "^".join(" ".join(component.split()) for component in group.split("^")).rstrip("^")
        for group in folded(name).split("=")[:3]
    ]
    return groups + [""] * (3 - len(groups))


def name_matches(key, name):
    if name == "":
        return False
    wanted, groups = folded(key).split("=")[:3], groups_of(name)
    wanted += [""] * (3 - len(wanted))
    one_of = lambda key, group: set(key) <= {"*"} or any(pattern(one).fullmatch(group) for one in shapes(key))
    if not wanted[1] and not wanted[2]:
        return any(one_of(wanted[0], group) for group in groups)
    return all(one_of(key, group) for key, group in zip(wanted, groups))


def shapes(key):
    """Delimiters behind the last component need not be written (PS3.5 6.2): so `A^*` is for `A` too."""
    if not any(one in key for one in "*?"):
        return [groups_of(key)[0]]
    return [key, key[:-1].rstrip("^")] if key.endswith("^*") else [key]


def moments(vr, text):
    """The first and the last moment that a value covers, as sortable texts; None for what is no value."""
    if vr == "DA":
        text = text.replace(".", "") if re.fullmatch(r"\d{4}\.\d\d\.\d\d", text) else text
        valid = re.fullmatch(r"\d{4}(\d\d)(\d\d)", text)
        is_date = valid and 1 <= int(valid[1]) <= 12 and 1 <= int(valid[2]) <= 31
        return (text, text) if is_date else None
    if vr == "TM":
        text = text.replace(":", "") if re.fullmatch(r"\d\d:\d\d(:\d\d(\.\d+)?)?", text) else text
        valid = re.fullmatch(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?", text)
        if not valid or int(valid[1]) > 23 or int(valid[2] or 0) > 59 or int(valid[3] or 0) > 60:
            return None
        first = valid[1] + (valid[2] or "00") + (valid[3] or "00") + (valid[4] or "").ljust(6, "0")
        last = valid[1] + (valid[2] or "59") + (valid[3] or "59") + (valid[4] or "").ljust(6, "9")
        return first, last
    valid = re.fullmatch(r"(\d{4})(\d\d)?(\d\d)?(\d[\d.]*)?([+-]\d{4})?", text)
    if not valid or valid[4] and not valid[3]:
        return None
    days = moments("DA", valid[1] + (valid[2] or "01") + (valid[3] or "01"))
    times = moments("TM", valid[4]) if valid[4] else ("0" * 12, "235959999999")
    if days is None or times is None:
        return None
    last_day = valid[1] + (valid[2] or "12") + (valid[3] or "31")
    return to_utc(days[0] + times[0], valid[5]), to_utc(last_day + times[1], valid[5])


def to_utc(moment, offset):
    if not offset or int(offset) == 0:
        return moment
    minutes = int(offset[0] + "1") * (int(offset[1:3]) * 60 + int(offset[3:]))
    shifted = datetime.strptime(moment[:14], "%Y%m%d%H%M%S") - timedelta(minutes=minutes)
    return shifted.strftime("%Y%m%d%H%M%S") + moment[14:]


def range_of(vr, key):
    """The first and last moment of a key, C.2.2.2.5; a single value is its first moment."""
    if "-" not in key or vr == "DT" and re.fullmatch(r"\d+(\.\d+)?-\d{4}", key):
        single = moments(vr, key)
        return (single[0], single[0]) if single else ("~", "")
    least, most = key.split("-", 1)
    first, last = moments(vr, least) if least else ("", ""), moments(vr, most) if most else ("~", "~")
    return (first[0], last[1]) if first and last else ("~", "")


DATE_TIMES = [(0x00080020, 0x00080030), (0x00080021, 0x00080031), (0x00080023, 0x00080033)]


def form(key):
    """Which ends a range names; None where it is none."""
    return (not key.startswith("-"), not key.endswith("-")) if "-" in key else None


def date_time_matches(data_set, date, time, date_key, time_key):
    """C.2.2.2.5.3: a date and a time in the same form of range are one range of moments."""
    stored = [values(data_set.get(date)), values(data_set.get(time))]
    if not all(stored) or not all(one[0] for one in stored):
        return False
    day, hour = moments("DA", stored[0][0]), moments("TM", stored[1][0])
    (from_day, to_day), (from_hour, to_hour) = range_of("DA", date_key), range_of("TM", time_key)
    if day is None or hour is None:
        return False
    return from_day + from_hour <= day[0] + hour[0] <= to_day + to_hour
