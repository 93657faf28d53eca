"""Gets a study by one C-GET and adds up the counters of every response.

    counters.py PORT INSTANCES

pynetdicom knows no asynchronous operations window: the archive has one sub-operation under way.
"""

import os
import sys

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StudyRootQueryRetrieveInformationModelGet as GET,
)

# An association that is still open when a check fails must not keep Python from ending.
sys.excepthook = lambda *error: (sys.__excepthook__(*error), sys.stderr.flush(), os._exit(1))

port, count = int(sys.argv[1]), int(sys.argv[2])
received = set()


def take(event):
    received.add(event.request.AffectedSOPInstanceUID)
    return 0x0000


ae = AE(ae_title="COUNTER")
ae.add_requested_context(GET)
ae.add_requested_context(CTImageStorage)
association = ae.associate(
    "127.0.0.1", port, ext_neg=[build_role(CTImageStorage, scp_role=True)], evt_handlers=[(evt.EVT_C_STORE, take)]
)
assert association.is_established
identifier = Dataset()
identifier.QueryRetrieveLevel = "STUDY"
identifier.StudyInstanceUID = "2.999.1.1"
completed = 0
for response, _ in association.send_c_get(identifier, GET):
    counts = [
        response.get(f"NumberOf{kind}Suboperations") for kind in ("Completed", "Failed", "Warning")
    ]
    assert counts[0] >= completed, (counts, completed)
    completed = counts[0]
    if response.Status == 0xFF00:
        assert response.NumberOfRemainingSuboperations + sum(counts) == count, response
    else:
        assert response.Status == 0x0000 and counts == [count, 0, 0], response
        assert "NumberOfRemainingSuboperations" not in response, response
association.release()
assert len(received) == count, len(received)
