"""A C-FIND and C-GET SCP that holds one study of so many small CT instances, made up as they are asked for.

    many_scp.py PORT INSTANCES

pynetdicom knows no asynchronous operations window: one sub-operation at a time, each answered before the next.
"""

import sys

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelFind as FIND,
    StudyRootQueryRetrieveInformationModelGet as GET,
)

port, count = int(sys.argv[1]), int(sys.argv[2])
STUDY, SERIES = "2.999.1", "2.999.1.1"


def instance(number):
    made = Dataset()
    made.SOPClassUID = CTImageStorage
    made.SOPInstanceUID = f"{SERIES}.{number}"
    made.PatientID = "P1"
    made.StudyInstanceUID = STUDY
    made.SeriesInstanceUID = SERIES
    made.InstanceNumber = number
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


def wanted(identifier):
    uids = identifier.get("SOPInstanceUID")
    if not uids:
        return range(1, count + 1)
    uids = [uids] if isinstance(uids, str) else uids
    return [int(uid.rsplit(".", 1)[1]) for uid in uids]


def find(event):
    level = event.identifier.QueryRetrieveLevel
    for number in wanted(event.identifier) if level == "IMAGE" else [1]:
        answer = Dataset()
        answer.QueryRetrieveLevel = level
        answer.StudyInstanceUID = STUDY
        answer.PatientID = "P1"
        if level == "STUDY":
            answer.ModalitiesInStudy = "CT"
            answer.SOPClassesInStudy = CTImageStorage
            answer.NumberOfStudyRelatedInstances = count
        else:
            answer.SeriesInstanceUID = SERIES
            answer.Modality = "CT"
        if level == "IMAGE":
            answer.SOPClassUID = CTImageStorage
            answer.SOPInstanceUID = f"{SERIES}.{number}"
        yield 0xFF00, answer


def get(event):
    numbers = wanted(event.identifier)
    yield len(numbers)
    for number in numbers:
        yield 0xFF00, instance(number)


ae = AE(ae_title="MANY")
ae.add_supported_context(FIND)
ae.add_supported_context(GET)
ae.add_supported_context(CTImageStorage, ExplicitVRLittleEndian, scu_role=False, scp_role=True)
ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_FIND, find), (evt.EVT_C_GET, get)])
