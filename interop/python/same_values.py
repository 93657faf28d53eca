"""Fails unless two folders hold the same instances, with the same values in every element.

    same_values.py FOLDER FOLDER
"""

import sys
from pathlib import Path

from pydicom import dcmread
from pydicom.misc import is_dicom


def instances(folder):
    files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file() and is_dicom(path)]
    data_sets = [dcmread(path) for path in files]
    return {data_set.SOPInstanceUID: [element for element in data_set if is_value(element)] for data_set in data_sets}


def is_value(element):
    """Not a group length or padding behind the data set, which archives leave out when they write anew."""
    return element.tag.element != 0 and element.tag != (0xFFFC, 0xFFFC)


ours, theirs = instances(sys.argv[1]), instances(sys.argv[2])
assert ours.keys() == theirs.keys(), f"{sorted(ours)}\n{sorted(theirs)}"
for uid, elements in ours.items():
    assert [element.tag for element in elements] == [element.tag for element in theirs[uid]], uid
    for element, other in zip(elements, theirs[uid]):
        # The VR of pixels follows from the transfer syntax.
        assert element.value == other.value, f"{uid}: {element}, {other}"
