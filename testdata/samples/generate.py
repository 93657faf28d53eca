#!/usr/bin/env python3
"""Writes the generated sample studies into ./generated.

Needs pydicom 3 and DCMTK's dcmcjpeg. Every run writes the same bytes: UIDs are made of names, pictures of
formulas. All patients are invented; the pictures are drawn, not taken.
"""

import math
import shutil
import subprocess
import uuid
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

FOLDER = Path(__file__).parent / "generated"

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
CR = "1.2.840.10008.5.1.4.1.1.1"
DX = "1.2.840.10008.5.1.4.1.1.1.1"
US = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTI = "1.2.840.10008.5.1.4.1.1.3.1"
SR = "1.2.840.10008.5.1.4.1.1.88.11"


def uid(*name):
    """The UID of a name: PS3.5 B.2, from a version 5 UUID."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, '/'.join(map(str, ('dicomet-samples', *name)))).int}")


def ellipse(x, y, cx, cy, rx, ry):
    return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1


def grain(x, y, z):
    """Something like noise, the same in every run, and little enough to look natural."""
    return int(6 * math.sin(12.9898 * x + 78.233 * y + 37.719 * z))


def chest_slice(size, z):
    """A cross-section of a chest: body, two lungs, spine, heart; Hounsfield units plus 1024."""
    def pixel(column, row):
        x, y = 2 * column / size - 1, 2 * row / size - 1
        lung = 0.30 + 0.10 * math.sin(math.pi * z)
        if not ellipse(x, y, 0, 0, 0.92, 0.70):
            return 24
        if ellipse(x, y, 0, 0.45, 0.11, 0.12):
            return 1700 + grain(column, row, z)
        if ellipse(x, y, 0.12, -0.10, 0.20, 0.22 + 0.05 * math.cos(3 * z)):
            return 1070 + grain(column, row, z)
        if ellipse(x, y, -0.45, 0, lung, 0.45) or ellipse(x, y, 0.45, 0, lung, 0.45):
            return 200 + 3 * grain(column, row, z)
        return 1050 + grain(column, row, z)
    return size, size, 16, lambda: (pixel(c, r) for r in range(size) for c in range(size))


def head_slice(size, z):
    def pixel(column, row):
        x, y = 2 * column / size - 1, 2 * row / size - 1
        scale = math.sqrt(max(0.05, 1 - (1.6 * z - 0.8) ** 2))
        if not ellipse(x, y, 0, 0, 0.75 * scale, 0.92 * scale):
            return 5
        if not ellipse(x, y, 0, 0, 0.68 * scale, 0.85 * scale):
            return 700 + grain(column, row, z)
        if ellipse(x, y, -0.12, 0, 0.08, 0.25) or ellipse(x, y, 0.12, 0, 0.08, 0.25):
            return 60
        return 380 + int(60 * math.sin(9 * x) * math.cos(8 * y)) + grain(column, row, z)
    return size, size, 16, lambda: (pixel(c, r) for r in range(size) for c in range(size))


def radiograph(rows, columns, side):
    def pixel(column, row):
        x, y = 2 * column / columns - 1, 2 * row / rows - 1
        value = 900 + int(300 * y)
        if ellipse(x, y, 0, 0, 0.95, 1.3):
            value += 1400
        if not side and (ellipse(x, y, -0.45, -0.1, 0.33, 0.7) or ellipse(x, y, 0.45, -0.1, 0.33, 0.7)):
            value -= 1000
            if math.sin(14 * y + 3 * abs(x)) > 0.8:
                value += 250
        if side and ellipse(x, y, -0.1, -0.1, 0.6, 0.7):
            value -= 800
        if abs(x - (0.45 if side else 0)) < 0.08:
            value += 500
        return max(0, min(4095, value + grain(column, row, 1)))
    return rows, columns, 16, lambda: (pixel(c, r) for r in range(rows) for c in range(columns))


def heartbeat(size, frames):
    """A fan-shaped ultrasound view in which something beats."""
    def pixel(column, row, frame):
        x, y = 2 * column / size - 1, row / size
        if abs(x) > 0.9 * y + 0.05 or y > 0.97:
            return 0
        radius = 0.16 + 0.06 * math.sin(2 * math.pi * frame / frames)
        if ellipse(x, y, 0.05, 0.55, 1.6 * radius, radius):
            return 12
        return max(0, min(255, int(90 + 60 * math.sin(40 * y) * math.sin(25 * x)) + grain(column, row, frame)))
    pixels = lambda: (pixel(c, r, f) for f in range(frames) for r in range(size) for c in range(size))
    return size, size, 8, pixels


def patient(name, patient_id, birth_date, sex, charset):
    data = Dataset()
    if charset:
        data.SpecificCharacterSet = charset
    data.PatientName, data.PatientID = name, patient_id
    data.PatientBirthDate, data.PatientSex = birth_date, sex
    return data


def instance(who, study, series, number, sop_class, modality):
    """The elements of every instance: patient, study, series, SOP common."""
    data = Dataset()
    data.update(who)
    key = (who.PatientID, study["id"])
    data.StudyInstanceUID = uid(*key)
    data.StudyID, data.StudyDate, data.StudyTime = study["id"], study["date"], study["time"]
    data.StudyDescription, data.AccessionNumber = study["description"], study["accession"]
    data.ReferringPhysicianName = "Referrer^Rosa"
    data.SeriesInstanceUID = uid(*key, series["number"])
    data.SeriesNumber, data.SeriesDescription = series["number"], series["description"]
    data.SeriesDate, data.SeriesTime = study["date"], study["time"]
    data.Modality, data.BodyPartExamined = modality, series.get("part", "CHEST")
    data.Manufacturer, data.InstitutionName = "dicomet samples", "Example Hospital"
    data.SOPClassUID = sop_class
    data.SOPInstanceUID = uid(*key, series["number"], number)
    data.InstanceNumber = number
    data.InstanceCreationDate, data.InstanceCreationTime = study["date"], study["time"]
    data.ContentDate, data.ContentTime = study["date"], study["time"]
    return data


def picture(data, drawing, frames=None):
    rows, columns, bits, pixels = drawing
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = rows, columns
    data.BitsAllocated = bits
    data.BitsStored = 8 if bits == 8 else 12
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    if frames:
        data.NumberOfFrames = frames
    size = bits // 8
    content = b"".join(max(0, value).to_bytes(size, "little") for value in pixels())
    data.add_new(0x7FE00010, "OW" if bits == 16 else "OB", content)


def plane(data, position, spacing):
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.FrameOfReferenceUID = uid(data.SeriesInstanceUID, "frame of reference")
    data.PositionReferenceIndicator = ""
    data.PatientPosition = "HFS"
    data.ImagePositionPatient = [-160, -160, position]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing, data.SliceThickness = [f"{spacing:.4f}"] * 2, 5
    data.SliceLocation = position


def save(data, name, syntax=ExplicitVRLittleEndian):
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if syntax == ImplicitVRLittleEndian else ExplicitVRLittleEndian
    data.file_meta = meta
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    if syntax == "JPEG":
        # Process 14, selection value 1: lossless, so that the instance stays the same instance.
        subprocess.run(["dcmcjpeg", "+e1", "+un", str(path), str(path)], check=True)


def ct(who, study, series, slices, folder, size=96):
    for number in range(1, slices + 1):
        data = instance(who, study, series, number, CT, "CT")
        plane(data, 5.0 * number, 320 / size)
        data.KVP, data.AcquisitionNumber = 120, 1
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = -1024, 1, "HU"
        data.WindowCenter, data.WindowWidth = 40, 400
        picture(data, chest_slice(size, number / slices))
        save(data, f"{folder}/ct{number:02}.dcm")


def mr(who, study, series, slices, folder, syntax):
    for number in range(1, slices + 1):
        data = instance(who, study, series, number, MR, "MR")
        plane(data, 6.0 * number, 3.5)
        data.ScanningSequence, data.SequenceVariant, data.ScanOptions = "SE", "NONE", ""
        data.MRAcquisitionType, data.RepetitionTime, data.EchoTime = "2D", 500, 15
        data.EchoTrainLength = 1
        picture(data, head_slice(64, number / (slices + 1)))
        save(data, f"{folder}/mr{number:02}.dcm", syntax)


def projection(who, study, series, number, modality, side, name, syntax=ExplicitVRLittleEndian):
    data = instance(who, study, series, number, DX if modality == "DX" else CR, modality)
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    data.PatientOrientation = ["A", "F"] if side else ["L", "F"]
    data.ViewPosition = "LL" if side else "PA"
    if modality == "DX":
        data.PresentationIntentType, data.BurnedInAnnotation = "FOR PRESENTATION", "NO"
        data.PixelIntensityRelationship, data.PixelIntensityRelationshipSign = "LOG", -1
        data.PresentationLUTShape, data.LossyImageCompression = "IDENTITY", "00"
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "US"
        data.ImageLaterality, data.ImagerPixelSpacing = "U", [1.5, 1.5]
        data.DetectorType, data.PositionerType = "DIRECT", "NONE"
        data.WindowCenter, data.WindowWidth = 2048, 4096
        data.AcquisitionContextSequence = []
        data.AnatomicRegionSequence = code("51185008", "SCT", "Chest")
        data.ViewCodeSequence = code(*(("399198007", "SCT", "Right lateral") if side else ("399348003", "SCT", "Postero-anterior")))
    picture(data, radiograph(192, 160, side))
    save(data, name, syntax)


def ultrasound(who, study, series, number, frames, name, syntax):
    data = instance(who, study, series, number, US_MULTI if frames > 1 else US, "US")
    data.ImageType = ["ORIGINAL", "PRIMARY", "", "0001"]
    data.PatientOrientation = ""
    if frames > 1:
        data.FrameTime, data.FrameIncrementPointer = 40, 0x00181063
    picture(data, heartbeat(80, frames), frames if frames > 1 else None)
    save(data, name, syntax)


def code(value, scheme, meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def report(who, study, series, number, title, sentences, name):
    data = instance(who, study, series, number, SR, "SR")
    data.ReferencedPerformedProcedureStepSequence, data.PerformedProcedureCodeSequence = [], []
    data.CompletionFlag, data.VerificationFlag = "COMPLETE", "UNVERIFIED"
    data.ValueType, data.ContinuityOfContent = "CONTAINER", "SEPARATE"
    data.ConceptNameCodeSequence = code("18748-4", "LN", title)
    content = []
    for sentence in sentences:
        item = Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", "TEXT"
        item.ConceptNameCodeSequence = code("121071", "DCM", "Finding")
        item.TextValue = sentence
        content.append(item)
    data.ContentSequence = content
    save(data, name)


def study(id, date, time, description):
    return {"id": id, "date": date, "time": time, "description": description, "accession": f"A{id}"}


def series(number, description, part="CHEST"):
    return {"number": number, "description": description, "part": part}


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)

    bowen = patient("Bowen^William^^Dr", "PAT004", "19560312", "M", None)
    first = study("4001", "20220115", "083000", "CT chest")
    ct(bowen, first, series(1, "Thorax 5 mm"), 12, "bowen-ct")
    report(bowen, first, series(2, "Report"), 1, "Diagnostic imaging report",
           ["No focal lesion in either lung.", "Heart of normal size."], "bowen-ct/report.dcm")
    second = study("4002", "20230302", "141500", "Chest 2 views, heart ultrasound")
    projection(bowen, second, series(1, "Chest PA and lateral"), 1, "DX", False, "bowen-dx-us/pa.dcm")
    projection(bowen, second, series(1, "Chest PA and lateral"), 2, "DX", True, "bowen-dx-us/lateral.dcm", "JPEG")
    ultrasound(bowen, second, series(2, "Four chamber view", "HEART"), 1, 12, "bowen-dx-us/heart.dcm", RLELossless)

    # The decoy: as near to Bowen as a name can be that `Bowen*` must not match.
    bower = patient("Bower^Anna", "PAT005", "19710920", "F", None)
    mr(bower, study("5001", "20220115", "101500", "MR brain"), series(1, "T1 axial", "BRAIN"), 4, "bower-mr",
       ImplicitVRLittleEndian)

    lefevre = patient("Lefèvre^Hélène", "PAT006", "19830704", "F", "ISO_IR 100")
    projection(lefevre, study("6001", "20210608", "091000", "Thorax de face"), series(1, "Thorax PA"), 1, "CR",
               False, "lefevre-cr/thorax.dcm")

    yamada = patient("Yamada^Hanako=山田^花子=やまだ^はなこ", "PAT007", "19900401", "F", ["", "ISO 2022 IR 87"])
    ultrasound(yamada, study("7001", "20221111", "160000", "Abdomen"), series(1, "Liver", "ABDOMEN"), 1, 1,
               "yamada-us/liver.dcm", ExplicitVRLittleEndian)

    nikos = patient("Παπαδόπουλος^Νίκος", "PAT008", "19470228", "M", "ISO_IR 192")
    ct(nikos, study("8001", "20230510", "120000", "CT θώρακα"), series(1, "Θώρακας 5 mm"), 3, "papadopoulos-ct", 64)


main()
