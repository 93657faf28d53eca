"""Fails unless two folders hold the same instances, with the same values in every element.

    same_values.py FOLDER FOLDER
"""

import sys
from pathlib import Path

from pydicom import dcmread


def instances(folder):
    data_sets = [dcmread(path) for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return {data_set.SOPInstanceUID: data_set for data_set in data_sets}


ours, theirs = instances(sys.argv[1]), instances(sys.argv[2])
assert ours.keys() == theirs.keys(), f"{sorted(ours)}\n{sorted(theirs)}"
for uid, data_set in ours.items():
    for element in data_set:
        other = theirs[uid][element.tag]
        # The VR of pixels follows from the transfer syntax.
        assert element.value == other.value, f"{uid}: {element}, {other}"
    assert len(data_set) == len(theirs[uid]), uid
