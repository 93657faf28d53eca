"""Storage commitment by pynetdicom, as user and as provider. Reports are printed as one JSON object a line.

    commitment.py ask PORT CLASS INSTANCE...       asks DICOMET there, and waits for the report on the association
    commitment.py leave PORT CLASS INSTANCE...     asks, and releases as soon as the request is answered
    commitment.py listen PORT                      waits for one report on an association of the provider's
    commitment.py serve same | elsewhere PORT      stores and commits all but every third instance; reports on the
                                                   same association, or to DICOMET at that port
"""

import json
import sys
import threading

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

PATIENCE = 30

# A report has come, and its response has left.
came, arrived = threading.Event(), threading.Event()


def show(report):
    print(json.dumps(report), flush=True)


def on_report(event):
    """Prints what a report says."""
    information = event.event_information
    references = [item.ReferencedSOPInstanceUID for item in information.get("ReferencedSOPSequence", [])]
    failures = [[item.ReferencedSOPInstanceUID, item.FailureReason]
                for item in information.get("FailedSOPSequence", [])]
    show({
        "transaction": information.TransactionUID, "event": event.event_type, "committed": references,
        "failed": failures, "retrieve": information.get("RetrieveAETitle", ""),
        "elsewhere": event.assoc.is_acceptor,
    })
    came.set()
    return 0x0000, None


def on_sent(event):
    """A release that is requested before the response has left would make pynetdicom fall over its own response."""
    if isinstance(event.pdu, P_DATA_TF) and came.is_set():
        arrived.set()


REPORT_HANDLERS = [(evt.EVT_N_EVENT_REPORT, on_report), (evt.EVT_PDU_SENT, on_sent)]


def request(sop_class, instances):
    information = Dataset()
    information.TransactionUID = generate_uid()
    information.ReferencedSOPSequence = []
    for instance in instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, instance
        information.ReferencedSOPSequence.append(item)
    return information


def ask(port, stay, sop_class, instances):
    ae = AE("PYNET")
    ae.add_requested_context(StorageCommitmentPushModel)
    association = ae.associate("127.0.0.1", port, ae_title="DICOMET", evt_handlers=REPORT_HANDLERS)
    assert association.is_established
    status, _ = association.send_n_action(
        request(sop_class, instances), 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    assert status.Status == 0, status
    if stay:
        assert arrived.wait(PATIENCE), "no report"
    association.release()


def listen(port):
    ae = AE("PYNET")
    # The provider requests this association: it is to be the SCP on it.
    ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=REPORT_HANDLERS)
    print("listening", file=sys.stderr, flush=True)
    assert arrived.wait(PATIENCE), "no report"
    for association in ae.active_associations:
        association.join(PATIENCE)
    server.shutdown()


def report_of(information):
    report = Dataset()
    report.TransactionUID = information.TransactionUID
    committed, failed = [], []
    for number, item in enumerate(information.ReferencedSOPSequence):
        if number % 3 == 2:
            item.FailureReason = 0x0112
            failed.append(item)
        else:
            committed.append(item)
    report.ReferencedSOPSequence = committed
    if failed:
        report.FailedSOPSequence = failed
    return report, 2 if failed else 1


def serve(back_to):
    ae = AE("PYNET")
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    ae.add_supported_context(StorageCommitmentPushModel)
    asked = {}

    def on_action(event):
        asked[event.assoc] = event.action_information
        return 0x0000, None

    def report(association, asked_for):
        information, event_type = report_of(asked_for)
        status, _ = association.send_n_event_report(
            information, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
        print("answered", status.get("Status"), file=sys.stderr, flush=True)

    def elsewhere(information):
        requestor = AE("PYNET")
        requestor.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        association = requestor.associate("127.0.0.1", back_to, ae_title="DICOMET", ext_neg=[role])
        assert association.is_established
        report(association, information)
        association.release()

    def on_action_sent(event):
        # The response has left: a report that is sent from another thread can no longer come between its parts.
        if isinstance(event.pdu, P_DATA_TF) and event.assoc in asked:
            information = asked.pop(event.assoc)
            if back_to is None:
                threading.Thread(target=report, args=(event.assoc, information)).start()
            else:
                threading.Thread(target=elsewhere, args=(information,)).start()

    handlers = [(evt.EVT_C_STORE, lambda event: 0x0000), (evt.EVT_N_ACTION, on_action), (evt.EVT_PDU_SENT, on_action_sent)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    print("listening on port", server.socket.getsockname()[1], file=sys.stderr, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command in ("ask", "leave"):
        ask(int(rest[0]), command == "ask", rest[1], rest[2:])
    elif command == "listen":
        listen(int(rest[0]))
    else:
        serve(int(rest[1]) if rest[0] == "elsewhere" else None)
