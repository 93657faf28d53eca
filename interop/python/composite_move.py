"""Has instances and frames moved by SOP Instance UID alone: Composite Instance Root Retrieve - MOVE.

    composite_move.py PORT DESTINATION FOLDER RECEIVED

FOLDER has the files that the archive has, RECEIVED what the destination got.
"""

import os
import sys
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import CompositeInstanceRootRetrieveMove as ROOT

# An association that is still open when a check fails must not keep Python from ending.
sys.excepthook = lambda *error: (sys.__excepthook__(*error), sys.stderr.flush(), os._exit(1))

port, destination = int(sys.argv[1]), sys.argv[2]
folder, received = Path(sys.argv[3]), Path(sys.argv[4])
stored = {instance.SOPInstanceUID: instance for instance in map(dcmread, folder.glob("*.dcm"))}

ae = AE(ae_title="COMPOSITE")
ae.add_requested_context(ROOT)
association = ae.associate("127.0.0.1", port)
assert association.is_established


def move(level, uids, **keys):
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.SOPInstanceUID = uids
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    *_, (status, _) = association.send_c_move(identifier, destination, ROOT)
    return status


def files():
    return {instance.SOPInstanceUID: instance for instance in map(dcmread, received.iterdir())}


status = move("IMAGE", sorted(stored))
assert status.Status == 0x0000, status
assert status.NumberOfCompletedSuboperations == len(stored)
assert files().keys() == stored.keys()

two = next(uid for uid, instance in stored.items() if instance.get("NumberOfFrames", 1) == 2)
assert move("FRAME", two, SimpleFrameList=[2]).Status == 0x0000
(new,) = files().keys() - stored.keys()
assert files()[new].NumberOfFrames == 1
assert files()[new].SOPClassUID == stored[two].SOPClassUID
assert move("FRAME", two, SimpleFrameList=[3]).Status == 0xAA00
assert len(files()) == len(stored) + 1
association.release()
