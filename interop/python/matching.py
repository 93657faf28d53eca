"""Puts generated C-FIND queries to an archive and holds the answers, and what they say, against the files themselves.

    matching.py collect DEST SOURCE...        copies what has a SOP Instance UID of its own, numbered
    matching.py ask AET PORT FOLDER [N]       N queries about the files in FOLDER, which the archive has
    matching.py list AET PORT FOLDER [N]      tells where others are found, whatever is said of them; fails never

The queries are always the same ones. Everything here is pydicom, pynetdicom and matching_rules.py.
"""

import random
import re
import shutil
import sys
import warnings
from collections import Counter, defaultdict
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataelem import DataElement
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.misc import is_dicom
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import decode
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from matching_rules import DATE_TIMES, IMAGE, MATCHED, PATIENT, PATIENT_TAGS, SERIES, SERIES_TAGS, STUDY, STUDY_TAGS
from matching_rules import UNIQUE_KEYS, WITH_WILDCARDS, date_time_matches, folded, form, level_of, matches, values

warnings.simplefilter("ignore")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
pydicom.config.settings.writing_validation_mode = pydicom.config.IGNORE

C_FIND_RSP = 0x8020
LEVELS = ["PATIENT", "STUDY", "SERIES", "IMAGE"]
PATIENT_ROOT, STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY = 0x00080061, 0x00080062
COUNTS = {STUDY: {0x00201206: SERIES, 0x00201208: IMAGE}, SERIES: {0x00201209: IMAGE}}
# What these say is not in any header.
RECKONED = {MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY} | {tag for of in COUNTS.values() for tag in of}
# Never a key: character set, level, group lengths, pixels.
NO_KEYS = {0x00080005, 0x00080052, 0x00080054, 0x00080056, 0x00080201}
MAX_VALUE = 60
KINDS = """single list_of_uid several prefix infix one_character name other_case no_accents name_pattern closed open
    moment universal nothing several_keys any_attribute sequence private combined empty_value multiple_value
    fuzzy below_the_level bytes""".split()
# Byte 1 relational queries, 2 combined date-time, 3 fuzzy names, 6 empty value, 7 multiple value (PS3.4 C.5.1.1).
NEGOTIATED = dict.fromkeys(["combined", "empty_value", "multiple_value"], b"\x01\x01\x00\x00\x00\x01\x01")
NEGOTIATED["fuzzy"] = b"\x01\x00\x01"


class Instance:
    """A file, and what it is part of: patient, study, series, instance, each the whole way down."""

    def __init__(self, path):
        self.data_set = pydicom.dcmread(path, stop_before_pixels=True)
        text = lambda tag: "".join(values(self.data_set.get(tag))[:1])
        own = text(0x00080016)
        study, series = text(0x0020000D) or own, text(0x0020000E) or own
        # CONFORMANCE.md: what is of no patient lies in a study and series that are named as its SOP class.
        self.data_set.StudyInstanceUID, self.data_set.SeriesInstanceUID = study, series
        ids = text(0x00100020)
        # Who has no ID is nobody else.
        patient = (ids, text(0x00100021)) if ids else ("of", study)
        self.path = [(patient,), (patient, study), (patient, study, series), (patient, study, series, text(0x00080018))]


class Files:
    def __init__(self, folder):
        paths = sorted(path for path in Path(folder).iterdir())
        self.instances = [Instance(path) for path in paths]
        self.below = [defaultdict(list) for _ in LEVELS]
        for instance in self.instances:
            for level, of_level in enumerate(self.below):
                of_level[instance.path[level]].append(instance)
        self.by_unique_key = [defaultdict(list) for _ in LEVELS]
        for instance in self.instances:
            for level, of_level in enumerate(self.by_unique_key):
                of_level["".join(values(instance.data_set.get(UNIQUE_KEYS[level]))[:1])].append(instance)
        for study in self.below[STUDY].values():
            reckoned = {MODALITIES_IN_STUDY: 0x00080060, SOP_CLASSES_IN_STUDY: 0x00080016}
            for tag, of in reckoned.items():
                found = sorted({value for one in study for value in values(one.data_set.get(of)) if value})
                for one in study:
                    one.data_set[tag] = DataElement(tag, dictionary_VR(tag), found)
        for level, counted in COUNTS.items():
            for entity in self.below[level].values():
                for tag, of in counted.items():
                    count = len({one.path[of] for one in entity})
                    for one in entity:
                        one.data_set[tag] = DataElement(tag, "IS", count)

    def verdict(self, entity, key, query, known):
        """Whether a key certainly and possibly matches: an entity has the values of its first instance, and which was
        first nobody knows."""
        # Below PATIENT, a study has its own copy of what is said of the patient.
        level = max(key.level, min(query.level, STUDY))
        name = (id(key), entity.path[level])
        if name not in known:
            verdicts = [key.verdict(one.data_set, query.negotiated) for one in self.below[level][entity.path[level]]]
            known[name] = all(certainly for certainly, _ in verdicts), any(possibly for _, possibly in verdicts)
        return known[name]

    def expected(self, query):
        """By the unique key of the level: how many matches there are at least and at most."""
        least, most, known = Counter(), Counter(), {}
        for entity, instances in self.below[query.level].items():
            of_keys = [self.verdict(instances[0], key, query, known) for key in query.keys]
            if all(possibly for _, possibly in of_keys):
                # Instances may write the identifier of their entity differently.
                name = "".join(values(instances[0].data_set.get(UNIQUE_KEYS[query.level]))[:1]) or entity[-1]
                name = "" if query.level == PATIENT and entity[0][0] == "of" else name
                most[name] += 1
                least[name] += all(certainly for certainly, _ in of_keys)
        return least, most


class Key:
    """A key with its values; of a private attribute with its creator, of a sequence with keys of an item."""

    def __init__(self, tag, vr, key, creator=None, items=None):
        self.tag, self.vr, self.key, self.creator, self.items = tag, vr, key, creator, items
        self.level = IMAGE if creator else level_of(tag)

    def element_of(self, data_set):
        if not self.creator:
            return data_set.get(self.tag)
        try:
            return data_set.private_block(self.tag >> 16, self.creator)[self.tag & 0xFF]
        except KeyError:
            return None

    def matches(self, data_set, negotiated):
        element = self.element_of(data_set)
        if self.items is not None:
            items = element.value if element is not None and element.VR == "SQ" else []
            asking = [key for key in self.items if key.key]
            return not asking or any(all(key.matches(item, negotiated) for key in asking) for item in items)
        return matches(element, self.tag, self.vr, self.key, negotiated)

    def verdict(self, data_set, negotiated):
        """Whether it certainly and possibly matches."""
        is_match = bool(self.matches(data_set, negotiated))
        return is_match, is_match

    def put_into(self, data_set):
        if self.items is not None:
            item = Dataset()
            for key in self.items:
                key.put_into(item)
            value = Sequence([item])
        elif self.vr in ("US", "SS", "UL", "SL"):
            value = [int(one) for one in self.key if one] or None
        else:
            value = "\\".join(self.key) if self.vr != "OB" else self.key[0]
        if self.creator:
            data_set.private_block(self.tag >> 16, self.creator, create=True).add_new(self.tag & 0xFF, self.vr, value)
        else:
            data_set.add(DataElement(self.tag, self.vr, value, already_converted=self.vr == "PN" and not value))

    def __str__(self):
        name = self.creator or keyword_for_tag(self.tag) or f"{self.tag:08x}"
        return name + (f"[{', '.join(map(str, self.items))}]" if self.items is not None else "=" + repr(self.key))


class Combined(Key):
    """A date and a time that are one range; the time is put in with it."""

    def __init__(self, date, time, date_key, time_key):
        super().__init__(date, "DA", [date_key])
        self.time = Key(time, "TM", [time_key])

    def matches(self, data_set, negotiated):
        if form(self.key[0]) == form(self.time.key[0]):
            return date_time_matches(data_set, self.tag, self.time.tag, self.key[0], self.time.key[0])
        return super().matches(data_set, False) and self.time.matches(data_set, False)

    def put_into(self, data_set):
        super().put_into(data_set)
        self.time.put_into(data_set)

    def __str__(self):
        return f"{super().__str__()}, {self.time}"


class Fuzzy(Key):
    """A name by how it sounds. CONFORMANCE.md says what sounds alike; what it leaves open may match or not."""

    SOUNDS = str.maketrans("pgkqxtvwsz", "bccccdffjj")

    def verdict(self, data_set, negotiated):
        names = [folded(name) for name in values(data_set.get(self.tag))]
        key = folded(self.key[0])
        alike = (key.translate(self.SOUNDS) == name.translate(self.SOUNDS) for name in names)
        # Of words with anything but letters in them nothing is said.
        certainly = bool(re.fullmatch(r"[a-z^= ]+", key)) and any(alike)
        first = lambda word: word[0].translate(self.SOUNDS)
        firsts = [{first(word) for word in re.split(r"[\^= ]+", name) if word} for name in names]
        # Of vowels, h and other scripts nothing is said.
        wanted = {first(word) for word in re.split(r"[\^= ]+", key) if word} & set("bcdfjmnlr")
        return certainly, any(wanted <= of_name | {one for one in wanted if not of_name} for of_name in firsts)


class Query:
    def __init__(self, kind, level, model, keys, warns=False):
        self.kind, self.level, self.model, self.keys, self.warns = kind, level, model, keys, warns
        self.negotiated = NEGOTIATED.get(kind, b"")

    def identifier(self):
        identifier = Dataset()
        identifier.SpecificCharacterSet = "ISO_IR 192"
        identifier.QueryRetrieveLevel = LEVELS[self.level]
        for key in self.keys:
            key.put_into(identifier)
        return identifier

    def __str__(self):
        root = "patient root" if self.model == PATIENT_ROOT else "study root"
        return f"{self.kind}, {root}, {LEVELS[self.level]}: " + ", ".join(map(str, self.keys))


class Generator:
    """Makes queries of what is in the headers, so that most have answers."""

    NAMED = {
        PATIENT: [0x00100010, 0x00100020, 0x00100030, 0x00100040, 0x00102160],
        STUDY: [0x0020000D, 0x00080020, 0x00080030, 0x00080050, 0x00080090, 0x00081030, 0x00200010, 0x00080061,
                0x00080062, 0x00101010, 0x00201206, 0x00201208],
        SERIES: [0x0020000E, 0x00080060, 0x00200011, 0x0008103E, 0x00080021, 0x00080031, 0x00180015, 0x00080070,
                 0x00081010, 0x00201209],
        IMAGE: [0x00080018, 0x00080016, 0x00200013, 0x00080008, 0x00080023, 0x00180050, 0x00280010, 0x00280004,
                0x0008002A, 0x00181151],
    }
    VRS = {
        "list_of_uid": {"UI"}, "prefix": {"LO", "SH", "CS"}, "infix": {"LO", "SH", "CS"},
        "one_character": {"LO", "SH", "CS"}, "closed": {"DA", "TM", "DT"}, "open": {"DA", "TM", "DT"},
        "moment": {"DA", "TM", "DT"}, "several": {"LO", "SH", "CS", "PN", "IS"}, "multiple_value": {"CS", "LO", "PN"},
        "empty_value": {"LO", "SH", "CS", "PN", "DA", "TM"},
    } | {kind: {"PN"} for kind in ("name", "other_case", "no_accents", "name_pattern", "fuzzy")}

    def __init__(self, files):
        self.files, self.random = files, random.Random(20240131)

    def __iter__(self):
        number = 0
        while True:
            kind, level = KINDS[number % len(KINDS)], number // len(KINDS) % len(LEVELS)
            number += 1
            tries = (self.query(kind, level) for _ in range(80))
            query = next((query for query in tries if query), None)
            if query:
                yield query

    def query(self, kind, level):
        if kind in ("private", "bytes") or kind == "sequence" and self.random.random() < 0.5:
            level = IMAGE
        model = PATIENT_ROOT if level == PATIENT or self.random.random() < 0.25 else STUDY_ROOT
        instance = self.random.choice(self.files.instances)
        own = Key(UNIQUE_KEYS[level], dictionary_VR(UNIQUE_KEYS[level]), [])
        keys = {own.tag: own}
        # Half of the deeper ones name what is above them, the other half are relational.
        if self.random.random() < 0.5:
            for above in range(PATIENT if model == PATIENT_ROOT else STUDY, level):
                value = self.value(instance, UNIQUE_KEYS[above])
                if not value:
                    return None
                keys[UNIQUE_KEYS[above]] = Key(UNIQUE_KEYS[above], dictionary_VR(UNIQUE_KEYS[above]), [value])
        kinds = [kind]
        if kind == "several_keys":
            some = ["single", "prefix", "open", "name_pattern", "universal"]
            kinds = self.random.choices(some, k=self.random.randint(2, 4))
        for kind_of_key in kinds:
            key = self.key(kind_of_key, level, instance)
            if key is None:
                return None
            keys[key.tag] = key
        # And a few values are asked for.
        for tag in self.random.sample([tag for of in range(level + 1) for tag in self.NAMED[of]], 3):
            if tag not in keys and not any(isinstance(key, Combined) and key.time.tag == tag for key in keys.values()):
                keys[tag] = Key(tag, dictionary_VR(tag), [])
        return Query(kind, level, model, list(keys.values()), warns=kind in ("below_the_level", "bytes"))

    def key(self, kind, level, instance):
        if kind == "below_the_level":
            below = [tag for of in range(level + 1, IMAGE + 1) for tag in self.NAMED[of]]
            tag = self.random.choice(below) if below else None
            value = tag and self.value(instance, tag)
            return Ignored(tag, vr_of(tag, instance.data_set), [value]) if value else None
        if kind == "bytes":
            return Ignored(0x00420011, "OB", [b"no document."]) if level == IMAGE else None
        if kind == "sequence":
            return self.sequence(level, instance)
        if kind == "private":
            return self.private(instance) if level == IMAGE else None
        if kind == "combined":
            return self.combined(level, instance)
        if kind == "any_attribute":
            # Attributes of patient, study and series by the tables alone: others may belong there, too.
            named = PATIENT_TAGS | STUDY_TAGS | SERIES_TAGS
            tags = [int(element.tag) for element in instance.data_set if element.VR in MATCHED and is_key(element.tag)]
            tags = [tag for tag in tags if level_of(tag) <= level and (tag in named or tag >> 16 in (0x0018, 0x0028))]
        else:
            tags = [tag for of in range(level + 1) for tag in self.NAMED[of]]
            tags = [tag for tag in tags if dictionary_VR(tag) in self.VRS.get(kind, MATCHED)]
        if not tags:
            return None
        tag = self.random.choice(tags)
        vr = vr_of(tag, instance.data_set)
        if kind == "empty_value":
            return Key(tag, vr, ['""'])
        value = self.value(instance, tag)
        if kind == "fuzzy":
            return Fuzzy(tag, vr, [value.translate(str.maketrans("CDKPTVZcdkptvz", "KTCBDWSktcbdws"))]) if value else None
        key = value and self.values_of(kind, vr, tag, value)
        return Key(tag, vr, key) if key else None

    def values_of(self, kind, vr, tag, value):
        at = self.random.randrange(len(value))
        other = lambda: self.value(self.random.choice(self.files.instances), tag)
        if kind in ("list_of_uid", "several", "multiple_value"):
            return [value] + [one for one in (other() for _ in range(self.random.randint(1, 3))) if one]
        if kind == "prefix":
            return [value[: at + 1] + "*"]
        if kind == "infix":
            return [f"*{value[at : at + 3]}*"]
        if kind == "one_character":
            return [f"{value[:at]}?{value[at + 1 :]}"]
        if kind == "other_case":
            return [value.upper() if value.upper() != value else value.lower()]
        if kind == "no_accents":
            return [value.translate(str.maketrans("ÄÖÜäöüéèêàáâçëïîôùûñíóú", "AOUaoueeeaaaceiiouuniou"))]
        if kind == "name_pattern":
            infix = f"*{value[at : at + 3].lower()}*"
            return [self.random.choice([value[: at + 1] + "*", infix, f"{value[:at]}?{value[at + 1 :]}*"])]
        if kind == "closed":
            least, most = sorted([value, other() or value])
            return [f"{least}-{most}"]
        if kind == "open":
            if vr not in ("DA", "TM", "DT"):
                return [value]
            return [self.random.choice([f"{value}-", f"-{value}"])]
        if kind == "universal":
            # pydicom writes no `*` for a number.
            return [self.random.choice(["", "*"])] if vr not in ("IS", "DS", "US", "SS", "UL", "SL") else [""]
        if kind == "nothing":
            of_vr = {"UI": "2.999.404", "DA": "17890714", "TM": "031415.926", "DT": "17890714031415", "AS": "271Y"}
            numbers = {"IS", "US", "DS", "SS", "UL", "SL"}
            return ["31415" if vr in numbers else of_vr.get(vr, "Nobody^Of*This^Name" if vr == "PN" else "NOT HERE")]
        return [value]

    def value(self, instance, tag):
        """A single value of the attribute in this instance, when it can be a key."""
        found = values(instance.data_set.get(tag))
        value = self.random.choice(found) if found else ""
        is_plain = 0 < len(value) <= MAX_VALUE and not any(one in value for one in '*?\\"') and value.isprintable()
        # No name at all may be written with all its delimiters.
        is_plain = is_plain and set(value) - set("^=") != set()
        if dictionary_VR_or_none(tag) in ("DA", "TM", "DT") and is_plain:
            is_plain = matches(instance.data_set.get(tag), tag, dictionary_VR(tag), [value], False) and "-" not in value
        return value if is_plain else None

    def sequence(self, level, instance):
        found = [one for one in instance.data_set if one.VR == "SQ" and not one.tag.is_private and one.value]
        found = [one for one in found if level_of(int(one.tag)) <= level and is_key(one.tag)]
        if level < IMAGE:
            found = [one for one in found if int(one.tag) in PATIENT_TAGS | STUDY_TAGS | SERIES_TAGS]
        if not found:
            return None
        sequence = self.random.choice(found)
        item = self.random.choice(list(sequence.value))
        inner = [one for one in item if one.VR in MATCHED - {"DA", "TM", "DT"} and not one.tag.is_private]
        inner = [one for one in inner if is_key(one.tag) and one.VM == 1 and is_plain_text(one)]
        if not inner:
            return None
        chosen = self.random.sample(inner, min(len(inner), self.random.randint(1, 2)))
        keys = [Key(int(one.tag), one.VR, [values(one)[0]]) for one in chosen]
        if keys[0].vr in WITH_WILDCARDS and self.random.random() < 0.3:
            keys[0].key = [keys[0].key[0][:2] + "*"]
        return Key(int(sequence.tag), "SQ", [], items=keys)

    def private(self, instance):
        found = [one for one in instance.data_set if one.tag.is_private and not one.tag.is_private_creator]
        found = [one for one in found if one.VR in MATCHED and one.private_creator and is_plain_text(one)]
        if not found:
            return None
        element = self.random.choice(found)
        value = self.random.choice(values(element))
        if element.VR in WITH_WILDCARDS and self.random.random() < 0.4:
            value = value[:1] + "*"
        return Key(int(element.tag), element.VR, [value], creator=element.private_creator)

    def combined(self, level, instance):
        date, time = self.random.choice(DATE_TIMES)
        if max(level_of(date), level_of(time)) > level:
            return None
        chosen = [self.value(instance, date), self.value(instance, time)]
        others = [self.value(self.random.choice(self.files.instances), tag) for tag in (date, time)]
        if not all(chosen + others):
            return None
        shapes = [lambda one, two: "-".join(sorted([one, two])), lambda one, _: f"{one}-", lambda one, _: f"-{one}"]
        of_date, of_time = self.random.choice(shapes), self.random.choice(shapes)
        of_time = of_date if self.random.random() < 0.7 else of_time
        # A range within one moment is a single value.
        if len({chosen[0], others[0]}) == 1 or len({chosen[1], others[1]}) == 1:
            return None
        return Combined(date, time, of_date(chosen[0], others[0]), of_time(chosen[1], others[1]))


class Ignored(Key):
    """A key that cannot be matched: everything matches, and a warning says so."""

    def matches(self, data_set, negotiated):
        return True


def dictionary_VR_or_none(tag):
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def vr_of(tag, data_set):
    vr = dictionary_VR(tag)
    return data_set[tag].VR if " or " in vr and tag in data_set else vr


def is_key(tag):
    return not tag.is_private and tag.element != 0 and int(tag) not in NO_KEYS | RECKONED and tag.group < 0x5000


def is_plain_text(element):
    found = values(element)
    plain = [one for one in found if 0 < len(one) <= MAX_VALUE and one.isprintable() and not set(one) & set('*?\\"')]
    return bool(found) and len(plain) == len(found)


def wrong_value(answer, query, files):
    """The first of an answer's values that no instance of the entity has; None when all are right."""
    unique = "".join(values(answer.get(UNIQUE_KEYS[query.level]))[:1])
    candidates = files.by_unique_key[query.level][unique]
    keys = [part for key in query.keys for part in ([key, key.time] if isinstance(key, Combined) else [key])]
    for key in keys:
        answered = key.element_of(answer)
        if answered is None:
            return f"{key} is not in the answer"
        if isinstance(key, Ignored):
            if key.level > query.level and values(answered):
                return f"{key} has a value"
            continue
        stored = (content(key.element_of(one.data_set), key) for one in candidates)
        if content(answered, key) not in stored:
            return f"{key} is {content(answered, key)}, which none of {len(candidates)} instances has"
    return None


def content(element, key):
    """What an element says, in a form that can be compared; of items what was asked for."""
    if key.items is not None:
        items = element.value if element is not None and element.VR == "SQ" else []
        return [[content(inner.element_of(item), inner) for inner in key.items] for item in items]
    found = values(element)
    if key.tag in (MODALITIES_IN_STUDY, SOP_CLASSES_IN_STUDY):
        return sorted(found)
    # A binary number may come as one of another length; trailing empty values say nothing.
    while found and not found[-1]:
        found.pop()
    return found


class Asker:
    """Associations with the archive, one for each model, with and without negotiated matching.

    Responses are taken down as they come: what send_c_find yields may lack one on a busy machine, which the thread of the
    association has taken out of the queue meanwhile (pynetdicom 3.0.4).
    """

    def __init__(self, ae_title, port):
        self.ae_title, self.port, self.open, self.responses = ae_title, port, {}, []

    def ask(self, query):
        name = (query.model, query.negotiated)
        association = self.open.get(name)
        if association is None or not association.is_established:
            association = self.open[name] = self.associate(*name)
        self.responses = []
        for _ in association.send_c_find(query.identifier(), query.model):
            pass
        pending = [one for one in self.responses if one[0] in (0xFF00, 0xFF01)]
        final = [status for status, _ in self.responses if status not in (0xFF00, 0xFF01)]
        return [(status, read(identifier)) for status, identifier in pending], final[-1] if final else None

    def received(self, event):
        if event.message.command_set.CommandField == C_FIND_RSP:
            self.responses.append((event.message.command_set.Status, event.message.data_set.getvalue()))

    def associate(self, model, negotiated):
        ae = AE("DICOMET")
        ae.add_requested_context(model, ExplicitVRLittleEndian)
        negotiation = SOPClassExtendedNegotiation()
        negotiation.sop_class_uid = model
        negotiation.service_class_application_information = negotiated or b"\x01"
        handlers = [(evt.EVT_DIMSE_RECV, self.received)]
        association = ae.associate(
            "127.0.0.1", self.port, ae_title=self.ae_title, ext_neg=[negotiation], evt_handlers=handlers
        )
        assert association.is_established, "the archive does not accept the association"
        return association

    def release(self):
        for association in self.open.values():
            association.release()


def read(identifier):
    """An identifier in explicit VR; None when it cannot be read."""
    try:
        return decode(BytesIO(identifier), is_implicit_vr=False, is_little_endian=True)
    except Exception:
        return None


def difference(query, files, answers, status, is_list):
    """What is wrong with an answer; None when nothing is."""
    if status != 0:
        return f"status {status:04X}" if status is not None else "no answer"
    if any(one is None for _, one in answers):
        return "an answer that cannot be read"
    found = Counter("".join(values(one.get(UNIQUE_KEYS[query.level]))[:1]) for _, one in answers)
    least, most = files.expected(query)
    missing, surplus = least - found, found - most
    if missing or surplus:
        few = lambda counter: dict(list(counter.items())[:2])
        return f"{len(answers)} answers, {sum(least.values())} to {sum(most.values())} expected; missing {few(missing)}, surplus {few(surplus)}"
    if is_list:
        return None
    wanted = 0xFF01 if query.warns else 0xFF00
    if any(status != wanted for status, _ in answers):
        return f"not all answers have {wanted:04X}"
    return next(filter(None, (wrong_value(one, query, files) for _, one in answers)), None)


def collect(destination, sources):
    seen = set()
    paths = (path for source in sources for path in sorted(Path(source).rglob("*")) if path.is_file())
    for path in paths:
        try:
            if not is_dicom(path):
                continue
            data_set = pydicom.dcmread(path, stop_before_pixels=True)
        except Exception as error:  # Files that pydicom itself cannot read are among its test files.
            print(f"left out: {path.name}: {error}", file=sys.stderr)
            continue
        uid = data_set.get("SOPInstanceUID")
        if uid and uid not in seen:
            seen.add(uid)
            shutil.copy(path, Path(destination) / f"{len(seen):06}.dcm")
    print(f"{len(seen)} instances")


def ask(ae_title, port, folder, count, is_list):
    files = Files(folder)
    asker = Asker(ae_title, int(port))
    of_kinds = {kind: [0, 0, 0, []] for kind in KINDS}
    answered = 0
    for query, _ in zip(Generator(files), range(count)):
        answers, status = asker.ask(query)
        wrong = difference(query, files, answers, status, is_list)
        of_kind = of_kinds[query.kind]
        of_kind[0] += 1
        of_kind[1] += bool(answers)
        answered += len(answers)
        if wrong:
            of_kind[2] += 1
            of_kind[3].append(f"{query}\n        {wrong}")
    asker.release()
    print(f"{len(files.instances)} instances, {len(files.below[STUDY])} studies, {count} queries, {answered} answers")
    for kind, (asked, with_answers, wrong, differences) in of_kinds.items():
        print(f"{kind}: {asked} asked, {with_answers} with answers, {wrong} otherwise")
        for text in differences[:6]:
            print(f"    {text}", flush=True)
    unasked = [kind for kind, (asked, with_answers, *_) in of_kinds.items() if kind != "nothing" and not with_answers]
    wrong = sum(of_kind[2] for of_kind in of_kinds.values())
    if not is_list:
        assert not unasked, f"no answers to {unasked}"
        assert not wrong, f"{wrong} of {count} queries are answered otherwise"


if sys.argv[1] == "collect":
    collect(sys.argv[2], sys.argv[3:])
else:
    ask(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]) if len(sys.argv) > 5 else 480, sys.argv[1] == "list")
