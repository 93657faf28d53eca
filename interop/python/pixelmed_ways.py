"""Does to an archive what PixelMed does (20220618), and fails where PixelMed would.

    pixelmed_ways.py PORT PATIENT_NAME NATIVE_FILE COMPRESSED_FILE

Find on one association, which stays open and unread; get on a second one, under another calling AE title; store with all
objects of a class in one context, whatever transfer syntax they are in.
"""

import os
import sys
import time
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt, StoragePresentationContexts
from pynetdicom.dimse_primitives import C_GET, C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as FIND,
    StudyRootQueryRetrieveInformationModelGet as GET,
)

IVLE, EVLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, JPEG, J2K, RLE = (
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
)
PRIVATE = "1.3.6.1.4.1.5962.300.2"

# An association that is still open when a check fails must not keep Python from ending.
sys.excepthook = lambda *error: (sys.__excepthook__(*error), sys.stderr.flush(), os._exit(1))

port, name, native_file, compressed_file = int(sys.argv[1]), *sys.argv[2:]


def associate(calling, contexts, **more):
    ae = AE(ae_title=calling)
    association = ae.associate("127.0.0.1", port, contexts=contexts, ae_title="DICOMET", **more)
    assert association.is_established, "no association"
    return association


# Find: three contexts of one class, and it uses the last; an empty SOP Instance UID among the keys of STUDY level.
finding = associate("PIXELMED_FIND", [build_context(FIND, [IVLE, EVLE]), build_context(FIND, IVLE), build_context(FIND, EVLE)])
assert [context.transfer_syntax[0] for context in finding.accepted_contexts] == [EVLE, IVLE, EVLE] or [
    context.transfer_syntax[0] for context in finding.accepted_contexts
] == [IVLE, IVLE, EVLE], "each context has an answer that was proposed"
last = max(context.context_id for context in finding.accepted_contexts)
identifier = Dataset()
identifier.QueryRetrieveLevel = "STUDY"
identifier.PatientName = name
for keyword in ("StudyInstanceUID", "SOPInstanceUID", "SOPClassesInStudy", "NumberOfStudyRelatedInstances"):
    setattr(identifier, keyword, None)
matches = []
for status, match in finding.send_c_find(identifier, FIND):
    assert status.Status in (0xFF00, 0xFF01, 0x0000), f"{status.Status:04X}"
    if match:
        matches.append(match)
assert len(matches) == 1, f"{len(matches)} studies"
assert matches[0].SOPClassesInStudy, "SOP Classes in Study is empty: PixelMed's C-GET would break"
study = matches[0].StudyInstanceUID

# Get: on a second association while the first stays open. One context a class, up to 21 transfer syntaxes in each, a
# private one among them, native ones first; the GET class in the middle; the SCP role for each storage class.
syntaxes = [EVLE, IVLE, DEFLATED, JPEG, J2K, RLE, PRIVATE]
classes = [context.abstract_syntax for context in StoragePresentationContexts][:126]
contexts = [build_context(uid, [EVLE, IVLE]) for uid in classes]
contexts.insert(60, build_context(GET, syntaxes))
roles = [build_role(uid, scp_role=True) for uid in classes]
received = []
handlers = [(evt.EVT_C_STORE, lambda event: received.append(event.request.AffectedSOPInstanceUID) or 0x0000)]
getting = associate("PIXELMED_GET", contexts, ext_neg=roles, evt_handlers=handlers)
chosen = next(context for context in getting.accepted_contexts if context.abstract_syntax == GET)
assert chosen.transfer_syntax[0] in (EVLE, IVLE), f"{chosen.transfer_syntax[0]} for the query/retrieve class"
wanted = Dataset()
wanted.QueryRetrieveLevel = "STUDY"
wanted.StudyInstanceUID = study
final = None
for status, _ in getting.send_c_get(wanted, GET):
    assert status.Status in (0xFF00, 0x0000), f"{status.Status:04X}: only 0xFF00 and 0x0000 will do"
    final = status
assert final.Status == 0x0000 and len(set(received)) == int(matches[0].NumberOfStudyRelatedInstances), received
getting.release()

# Store: both ways round on one association, each object in a context of its class, whatever its transfer syntax.
native, compressed = dcmread(native_file), dcmread(compressed_file)
storing = associate(
    "PIXELMED_STORE",
    [
        build_context(data_set.SOPClassUID, syntax)
        for data_set in (native, compressed)
        for syntax in (EVLE, str(compressed.file_meta.TransferSyntaxUID))
    ],
)


def store(data_set, syntax):
    """Sends the data set as it is in its file, on the context of this transfer syntax."""
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID = data_set.SOPClassUID
    request.AffectedSOPInstanceUID = data_set.SOPInstanceUID
    request.Priority = 2
    stored = data_set.file_meta.TransferSyntaxUID
    request.DataSet = BytesIO(encode(data_set, stored.is_implicit_VR, stored.is_little_endian))
    context = next(
        context
        for context in storing.accepted_contexts
        if (context.abstract_syntax, context.transfer_syntax[0]) == (data_set.SOPClassUID, syntax)
    )
    # As pynetdicom's own send_c_store does: its reactor must not take the response.
    storing._reactor_checkpoint.clear()
    while not storing._is_paused:
        time.sleep(0.01)
    storing.dimse.send_msg(request, context.context_id)
    _, response = storing.dimse.get_msg(block=True)
    storing._reactor_checkpoint.set()
    assert storing.is_established, "the association goes on"
    return response.Status


assert store(compressed, EVLE) & 0xF000 == 0xC000, "fragments under Explicit VR Little Endian are refused"
assert store(native, str(compressed.file_meta.TransferSyntaxUID)) & 0xF000 == 0xC000, "native pixels under JPEG 2000 are"
assert store(native, str(native.file_meta.TransferSyntaxUID)) == 0x0000
assert store(compressed, str(compressed.file_meta.TransferSyntaxUID)) == 0x0000
storing.release()

# The first association is still there, and answers.
assert finding.is_established, "an association that was idle meanwhile stands"
assert sum(1 for _, match in finding.send_c_find(identifier, FIND) if match) == 1
finding.release()
