"""Retrieves instances and frames by SOP Instance UID alone, without bulk data too, and natively what is compressed.

    composite.py PORT FOLDER

FOLDER has the files that the archive has.
"""

import os
import sys
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CompositeInstanceRetrieveWithoutBulkDataGet as WITHOUT_BULK_DATA,
    CompositeInstanceRootRetrieveGet as ROOT,
)

# An association that is still open when a check fails must not keep Python from ending.
sys.excepthook = lambda *error: (sys.__excepthook__(*error), sys.stderr.flush(), os._exit(1))

port, folder = int(sys.argv[1]), Path(sys.argv[2])
stored = {}
for path in sorted(folder.glob("*.dcm")):
    instance = dcmread(path)
    stored.setdefault(instance.SOPInstanceUID, instance)
by_name = lambda name: stored[dcmread(folder / name, stop_before_pixels=True).SOPInstanceUID]

received = []


def take(event):
    instance = event.dataset
    instance.file_meta = event.file_meta
    received.append(instance)
    return 0x0000


def get(model, level, uids, **keys):
    received.clear()
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    identifier.SOPInstanceUID = uids
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    *_, (status, _) = association.send_c_get(identifier, model)
    return status.Status


ae = AE(ae_title="COMPOSITE")
ae.add_requested_context(ROOT)
ae.add_requested_context(WITHOUT_BULK_DATA)
classes = {instance.SOPClassUID for instance in stored.values()}
for sop_class in classes:
    ae.add_requested_context(sop_class)
roles = [build_role(sop_class, scp_role=True) for sop_class in classes]
association = ae.associate("127.0.0.1", port, ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, take)])
assert association.is_established
assert not association.rejected_contexts, association.rejected_contexts

# Instances by their UIDs, across studies; what is compressed comes natively.
uids = sorted(stored)
assert get(ROOT, "IMAGE", uids) == 0x0000
assert sorted(instance.SOPInstanceUID for instance in received) == uids
decoded = {instance.SOPInstanceUID: instance.PixelData for instance in received}
for instance in received:
    original = stored[instance.SOPInstanceUID]
    assert not instance.file_meta.TransferSyntaxUID.is_compressed
    samples = instance.Rows * instance.Columns * instance.SamplesPerPixel * instance.get("NumberOfFrames", 1)
    assert len(instance.PixelData) == samples * instance.BitsAllocated // 8, original.filename
    if not original.file_meta.TransferSyntaxUID.is_compressed:
        assert instance.PixelData == original.PixelData, original.filename

# The same without bulk data.
assert get(WITHOUT_BULK_DATA, "IMAGE", uids) == 0x0000
assert len(received) == len(uids)
for instance in received:
    original = stored[instance.SOPInstanceUID]
    kept = [element.tag for element in original if element.tag.group != 0x7FE0]
    assert [element.tag for element in instance] == kept, original.filename
assert get(WITHOUT_BULK_DATA, "FRAME", uids[0], SimpleFrameList=[1]) == 0xA900

# Frames: native, and compressed.
dose, colour = by_name("rtdose.dcm"), by_name("SC_rgb_rle_2frame.dcm")
for original, frames in ((dose, [2, 5, 15]), (colour, [2])):
    assert get(ROOT, "FRAME", original.SOPInstanceUID, SimpleFrameList=frames) == 0x0000
    (instance,) = received
    assert instance.SOPInstanceUID != original.SOPInstanceUID
    assert instance.SOPClassUID == original.SOPClassUID
    assert instance.StudyInstanceUID == original.StudyInstanceUID
    assert instance.NumberOfFrames == len(frames)
    length = len(instance.PixelData) // len(frames)
    whole = dose.PixelData if original is dose else decoded[original.SOPInstanceUID]
    chosen = b"".join(whole[(frame - 1) * length : frame * length] for frame in frames)
    assert instance.PixelData == chosen, original.filename
    (extraction,) = instance.FrameExtractionSequence
    assert extraction.MultiFrameSourceSOPInstanceUID == original.SOPInstanceUID
    assert extraction.get("SimpleFrameList") in (frames, frames[0])
    purpose = instance.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0]
    assert purpose.CodeValue == "109105"
    if original is dose:
        # Of transverse planes, with relative offsets (PS3.3 C.8.8.3.2).
        planes = lambda of: [of.ImagePositionPatient[2] + offset for offset in of.GridFrameOffsetVector]
        assert instance.GridFrameOffsetVector[0] == 0
        assert planes(instance) == [planes(original)[frame - 1] for frame in frames]

assert get(ROOT, "FRAME", dose.SOPInstanceUID, CalculatedFrameList=[1, 5, 2, 14, 0xFFFFFFFF, 1]) == 0x0000
(instance,) = received
assert instance.NumberOfFrames == 5
offsets = [dose.GridFrameOffsetVector[frame - 1] for frame in (1, 3, 5, 14, 15)]
assert instance.GridFrameOffsetVector == offsets

# What cannot be done.
single = by_name("MR_small.dcm").SOPInstanceUID
assert get(ROOT, "FRAME", dose.SOPInstanceUID, SimpleFrameList=[100, 200]) == 0xAA00
assert get(ROOT, "FRAME", single, SimpleFrameList=[1]) == 0xAA01
assert get(ROOT, "FRAME", dose.SOPInstanceUID, TimeRange=[0.0, 1.0]) == 0xAA03
assert get(ROOT, "FRAME", dose.SOPInstanceUID, SimpleFrameList=[5, 2]) == 0xAA04
assert get(ROOT, "FRAME", dose.SOPInstanceUID) == 0xAA04
assert get(ROOT, "SERIES", dose.SOPInstanceUID) == 0xA900
assert not received
association.release()
