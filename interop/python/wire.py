"""PDUs and command sets between dicomet and pynetdicom, one JSON object a line.

    wire.py read FILE    reads lines {"pdu": hex} or {"command": hex}; prints what pynetdicom understands, and
                         the bytes it would write for that: {"means": ..., "again": hex}
    wire.py write        prints {"name": ..., "pdu" or "command": hex, "means": ...} of its own making
"""

import json
import sys
from io import BytesIO

from pynetdicom import build_context
from pynetdicom.dimse_messages import (
    C_CANCEL_RQ, C_ECHO_RQ, C_ECHO_RSP, C_FIND_RQ, C_FIND_RSP, C_GET_RQ, C_GET_RSP, C_MOVE_RQ, C_MOVE_RSP,
    C_STORE_RQ, C_STORE_RSP, N_ACTION_RQ, N_ACTION_RSP, N_EVENT_REPORT_RQ, N_EVENT_REPORT_RSP,
)
from pynetdicom.dimse_primitives import (
    C_CANCEL, C_ECHO, C_FIND, C_GET, C_MOVE, C_STORE, N_ACTION, N_EVENT_REPORT,
)
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu import (
    A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ, P_DATA_TF,
)
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE, A_ABORT, A_P_ABORT, A_RELEASE, P_DATA, AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification, ImplementationVersionNameNotification, MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation, SOPClassCommonExtendedNegotiation, SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

PDUS = {
    1: A_ASSOCIATE_RQ, 2: A_ASSOCIATE_AC, 3: A_ASSOCIATE_RJ, 4: P_DATA_TF,
    5: A_RELEASE_RQ, 6: A_RELEASE_RP, 7: A_ABORT_RQ,
}

CT = "1.2.840.10008.5.1.4.1.1.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def pdu_means(pdu):
    """What a PDU says, in the words that interop/tests/wire.rs uses too."""
    if isinstance(pdu, (A_ASSOCIATE_RQ, A_ASSOCIATE_AC)):
        is_request = isinstance(pdu, A_ASSOCIATE_RQ)
        contexts = []
        for item in pdu.presentation_context:
            if is_request:
                contexts.append([item.context_id, item.abstract_syntax, [str(uid) for uid in item.transfer_syntax]])
            else:
                contexts.append([item.context_id, item.result, str(item.transfer_syntax or "")])
        return {
            "type": "A-ASSOCIATE-RQ" if is_request else "A-ASSOCIATE-AC",
            "called": pdu.called_ae_title if is_request else pdu.reserved_aet,
            "calling": pdu.calling_ae_title if is_request else pdu.reserved_aec,
            "application_context": pdu.application_context_name,
            "contexts": contexts,
            "user_information": user_information_means(pdu.user_information),
        }
    if isinstance(pdu, A_ASSOCIATE_RJ):
        return {"type": "A-ASSOCIATE-RJ", "result": pdu.result, "source": pdu.source, "reason": pdu.reason_diagnostic}
    if isinstance(pdu, A_ABORT_RQ):
        return {"type": "A-ABORT", "source": pdu.source, "reason": pdu.reason_diagnostic}
    if isinstance(pdu, P_DATA_TF):
        values = [
            [item.presentation_context_id, bool(item.presentation_data_value[0] & 1),
             bool(item.presentation_data_value[0] & 2), item.presentation_data_value[1:].hex()]
            for item in pdu.presentation_data_value_items
        ]
        return {"type": "P-DATA-TF", "values": values}
    return {"type": "A-RELEASE-RQ" if isinstance(pdu, A_RELEASE_RQ) else "A-RELEASE-RP"}


def user_information_means(information):
    window = information.async_ops_window
    identity = information.user_identity
    means = {
        "maximum_length": information.maximum_length,
        "implementation_class_uid": information.implementation_class_uid,
        "implementation_version_name": information.implementation_version_name,
        "window": window and [window.max_operations_invoked, window.max_operations_performed],
        "roles": [[item.sop_class_uid, bool(item.scu_role), bool(item.scp_role)]
                  for item in information.role_selection.values()],
        "extended": [[item.sop_class_uid, item.service_class_application_information.hex()]
                     for item in information.ext_neg],
        "common_extended": [[item.sop_class_uid, item.service_class_uid,
                             [str(uid) for uid in item.related_general_sop_class_identification]]
                            for item in information.common_ext_neg],
        "identity": None,
        "identity_response": None,
    }
    if identity is not None and identity.item_type == 0x58:
        means["identity"] = [identity.user_identity_type, bool(identity.positive_response_requested),
                             identity.primary_field.hex(), (identity.secondary_field or b"").hex()]
    elif identity is not None:
        means["identity_response"] = identity.server_response.hex()
    return means


def command_means(data_set):
    """Keyword and value of each element but the group length."""
    means = {}
    for element in data_set:
        if element.keyword == "CommandGroupLength":
            continue
        value = element.value
        if element.VR == "US":
            value = int(value)
        elif element.VM > 1:
            value = [str(one) for one in value]
        else:
            value = str(value)
        means[element.keyword] = value
    return means


def read(path):
    for line in open(path):
        given = json.loads(line)
        if "pdu" in given:
            encoded = bytes.fromhex(given["pdu"])
            pdu = PDUS[encoded[0]]()
            pdu.decode(encoded)
            show({"means": pdu_means(pdu), "again": pdu.encode().hex()})
        else:
            encoded = bytes.fromhex(given["command"])
            data_set = decode(BytesIO(encoded), True, True)
            show({"means": command_means(data_set), "again": encode(data_set, True, True).hex()})


def associate(is_request):
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title = "PYNETDICOM"
    primitive.called_ae_title = "DICOMET"
    contexts = [build_context(GET, [IMPLICIT]), build_context(CT, [EXPLICIT, IMPLICIT])]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    length = MaximumLengthNotification()
    length.maximum_length_received = 16382
    class_uid = ImplementationClassUIDNotification()
    class_uid.implementation_class_uid = "1.2.826.0.1.3680043.9.3811.3.0.4"
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = "PYNETDICOM_304"
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 5
    window.maximum_number_operations_performed = 0
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = CT, False, True
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = GET, b"\x01\x00\x01"
    information = [length, class_uid, version, window, role, extended]
    if is_request:
        common = SOPClassCommonExtendedNegotiation()
        common.sop_class_uid, common.service_class_uid = CT, "1.2.840.10008.4.2"
        common.related_general_sop_class_identification = ["1.2.840.10008.5.1.4.1.1.7"]
        identity = UserIdentityNegotiation()
        identity.user_identity_type = 2
        identity.positive_response_requested = True
        identity.primary_field, identity.secondary_field = b"user", b"secret"
        information += [common, identity]
        primitive.presentation_context_definition_list = contexts
    else:
        for number, context in enumerate(contexts):
            context.result = 0 if number == 0 else 3
            context.transfer_syntax = context.transfer_syntax[:1]
        identity = UserIdentityNegotiation()
        identity.server_response = b"welcome"
        information.append(identity)
        primitive.result = 0
        primitive.presentation_context_definition_results_list = contexts
    primitive.user_information = information
    return primitive


def pdus():
    yield "associate_rq", A_ASSOCIATE_RQ(associate(True))
    yield "associate_ac", A_ASSOCIATE_AC(associate(False))
    for result, source, reason in [(1, 1, 7), (1, 1, 3), (1, 2, 2), (2, 3, 1), (2, 3, 2)]:
        primitive = A_ASSOCIATE()
        primitive.result, primitive.result_source, primitive.diagnostic = result, source, reason
        yield f"associate_rj {result} {source} {reason}", A_ASSOCIATE_RJ(primitive)
    data = P_DATA()
    data.presentation_data_value_list = [[1, b"\x03abcd"], [3, b"\x00ef"], [3, b"\x02gh"]]
    yield "data_tf", P_DATA_TF(data)
    yield "release_rq", A_RELEASE_RQ(A_RELEASE())
    response = A_RELEASE()
    response.result = "affirmative"
    yield "release_rp", A_RELEASE_RP(response)
    abort = A_ABORT()
    abort.abort_source = 0
    yield "abort 0 0", A_ABORT_RQ(abort)
    for reason in [0, 1, 2, 4, 5, 6]:
        abort = A_P_ABORT()
        abort.provider_reason = reason
        yield f"abort 2 {reason}", A_ABORT_RQ(abort)


def primitive(kind, **values):
    made = kind()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def commands():
    identifier = BytesIO(b"\x08\x00\x52\x00\x06\x00\x00\x00STUDY ")
    request = {"MessageID": 7, "Priority": 0}
    response = {"MessageIDBeingRespondedTo": 7, "AffectedSOPClassUID": GET, "Status": 0}
    verification = "1.2.840.10008.1.1"
    find = "1.2.840.10008.5.1.4.1.2.2.1"
    move = "1.2.840.10008.5.1.4.1.2.2.2"
    yield C_ECHO_RQ, primitive(C_ECHO, MessageID=7, AffectedSOPClassUID=verification)
    yield C_ECHO_RSP, primitive(
        C_ECHO, MessageIDBeingRespondedTo=7, AffectedSOPClassUID=verification, Status=0)
    yield C_STORE_RQ, primitive(
        C_STORE, **request, AffectedSOPClassUID=CT, AffectedSOPInstanceUID="2.999.1", DataSet=identifier,
        MoveOriginatorApplicationEntityTitle="MOVER", MoveOriginatorMessageID=3)
    yield C_STORE_RSP, primitive(
        C_STORE, MessageIDBeingRespondedTo=7, AffectedSOPClassUID=CT, AffectedSOPInstanceUID="2.999.1",
        Status=0xA700, ErrorComment="disk full")
    yield C_FIND_RQ, primitive(C_FIND, **request, AffectedSOPClassUID=find, Identifier=identifier)
    yield C_FIND_RSP, primitive(
        C_FIND, MessageIDBeingRespondedTo=7, AffectedSOPClassUID=find, Status=0xFF00, Identifier=identifier)
    yield C_GET_RQ, primitive(C_GET, **request, AffectedSOPClassUID=GET, Identifier=identifier)
    yield C_GET_RSP, primitive(
        C_GET, MessageIDBeingRespondedTo=7, AffectedSOPClassUID=GET, Status=0xB000, Identifier=identifier,
        NumberOfCompletedSuboperations=3, NumberOfFailedSuboperations=2, NumberOfWarningSuboperations=1)
    yield C_MOVE_RQ, primitive(
        C_MOVE, **request, AffectedSOPClassUID=move, MoveDestination="DICOMET", Identifier=identifier)
    yield C_MOVE_RSP, primitive(
        C_MOVE, MessageIDBeingRespondedTo=7, AffectedSOPClassUID=move, Status=0xFF00,
        NumberOfRemainingSuboperations=4, NumberOfCompletedSuboperations=3, NumberOfFailedSuboperations=2,
        NumberOfWarningSuboperations=1)
    yield C_CANCEL_RQ, primitive(C_CANCEL, MessageIDBeingRespondedTo=7)
    commitment = "1.2.840.10008.1.20.1"
    instance = "1.2.840.10008.1.20.1.1"
    affected = {"AffectedSOPClassUID": commitment, "AffectedSOPInstanceUID": instance}
    yield N_ACTION_RQ, primitive(
        N_ACTION, MessageID=7, RequestedSOPClassUID=commitment, RequestedSOPInstanceUID=instance, ActionTypeID=1,
        ActionInformation=identifier)
    yield N_ACTION_RSP, primitive(
        N_ACTION, MessageIDBeingRespondedTo=7, **affected, ActionTypeID=1, Status=0x0213, ErrorComment="too many")
    yield N_EVENT_REPORT_RQ, primitive(
        N_EVENT_REPORT, MessageID=7, **affected, EventTypeID=2, EventInformation=identifier)
    yield N_EVENT_REPORT_RSP, primitive(
        N_EVENT_REPORT, MessageIDBeingRespondedTo=7, **affected, EventTypeID=2, Status=0)


def write():
    for name, pdu in pdus():
        show({"name": name, "pdu": pdu.encode().hex(), "means": pdu_means(pdu)})
    for kind, primitive in commands():
        message = kind()
        message.primitive_to_message(primitive)
        message._set_command_group_length()
        encoded = encode(message.command_set, True, True)
        show({"name": kind.__name__, "command": encoded.hex(), "means": command_means(message.command_set)})


def show(value):
    print(json.dumps(value))


if __name__ == "__main__":
    read(sys.argv[2]) if sys.argv[1] == "read" else write()
