//! What comes under the name of an instance and is not that instance: refused, not kept, and told.

use dicomet_proto::dataset::{DataSet, Tag, VR};

use super::super::folder::check;
use super::super::layout::{SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID};
use super::peer::Instead;
use super::*;

const SOP_CLASS_UID: Tag = Tag(0x0008, 0x0016);
const PIXEL_DATA: Tag = Tag(0x7FE0, 0x0010);
const BAD: Uid = Uid::from_static("1.2.1.1.2");

/// The data set of an instance, but for what is changed.
fn but(held: &Held, syntax: &Uid, change: impl FnOnce(&mut DataSet)) -> Vec<u8> {
    let mut header = held.header();
    change(&mut header);
    header.encode(syntax).unwrap()
}

/// Gets a study of five, of which one comes as other bytes.
async fn report_of(instead: Instead) -> (Report, tempfile::TempDir) {
    let habits = Habits { instead: Some((BAD, instead)), tells_classes: true, ..Habits::default() };
    let node = Peer::new(habits).serve().await;
    let folder = tempfile::tempdir().unwrap();
    (get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await, folder)
}

#[tokio::test]
async fn what_is_not_the_instance_that_was_named_is_refused_and_counts_as_failed() {
    const OTHER: Uid = Uid::from_static("1.2.9");
    let cases: [(Instead, &str); 13] = [
        (
            |held, syntax| but(held, syntax, |set| set.set_uid(SOP_INSTANCE_UID, &OTHER)),
            "not that of the command",
        ),
        (|held, syntax| but(held, syntax, |set| set.remove(SOP_INSTANCE_UID)), "0xA900"),
        (|held, syntax| but(held, syntax, |set| set.set_empty(SOP_INSTANCE_UID)), "the UID is empty"),
        (|held, syntax| but(held, syntax, |set| set.set_text(SOP_INSTANCE_UID, "../../x")), "a character"),
        (
            |held, syntax| but(held, syntax, |set| set.set_uid(SOP_CLASS_UID, &OTHER)),
            "not that of the command",
        ),
        (|held, syntax| but(held, syntax, |set| set.remove(SOP_CLASS_UID)), "no SOP Class UID"),
        (
            |held, syntax| but(held, syntax, |set| set.set_text(STUDY_INSTANCE_UID, "1..2")),
            "an empty component",
        ),
        (|held, syntax| but(held, syntax, |set| set.set_empty(STUDY_INSTANCE_UID)), "the UID is empty"),
        (|held, syntax| but(held, syntax, |set| set.remove(SERIES_INSTANCE_UID)), "no Series Instance UID"),
        (|_, _| b"\xde\xad\xbe\xef".repeat(30), "0xC000"),
        (|_, _| vec![0], "no SOP Class UID"),
        (|_, _| b"\x08\0\x16\0UI\x04".to_vec(), "within the header of an element"),
        (|_, _| Vec::new(), "is empty"),
    ];
    for (instead, reason) in cases {
        let (report, folder) = report_of(instead).await;
        assert_eq!((report.retrieved, report.failed, report.complete), (4, 1, false), "{reason}: {report:?}");
        assert_eq!(files(folder.path()), 4, "{reason}");
        let told = &report.failures[0].reason;
        assert!(told.starts_with("not taken: ") && told.contains(reason), "{reason}: {told}");
    }
}

#[tokio::test]
async fn a_data_set_without_its_end_is_refused_each_time_and_never_called_complete() {
    fn cut(held: &Held, syntax: &Uid) -> Vec<u8> {
        let mut whole = but(held, syntax, |set| set.set_bytes(PIXEL_DATA, VR::OW, &[7; 50_000]));
        whole.truncate(whole.len() - 49_998);
        whole
    }
    let (report, folder) = report_of(cut).await;
    assert_eq!((report.retrieved, report.failed, report.complete), (4, 1, false), "{report:?}");
    assert!(report.failures[0].reason.contains("the data set ends within a value"), "{report:?}");
    let stock = check(folder.path(), |_| {}).unwrap();
    assert_eq!((stock.here, stock.missing, stock.cut, stock.is_complete()), (4, 1, 0, false));
}

#[tokio::test]
async fn an_instance_that_says_it_is_of_another_study_is_not_filed_under_the_one_asked_for() {
    // What C-FIND finds under one study has the UIDs of another in it.
    let peer = Peer::new(Habits { lies_about: Some(BAD), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
    assert_eq!((report.retrieved, report.failed, files(folder.path())), (4, 1, 4), "{report:?}");
    assert!(report.failures[0].reason.contains("another study or series than was found"), "{report:?}");
}

#[tokio::test]
async fn what_breaks_a_rule_behind_its_uids_comes_as_its_maker_left_it() {
    fn out_of_order(held: &Held, syntax: &Uid) -> Vec<u8> {
        let first = but(held, syntax, |_| {});
        [first, b"\x08\0\x60\0CS\x02\0CT".to_vec()].concat()
    }
    let (report, folder) = report_of(out_of_order).await;
    assert!(report.complete && files(folder.path()) == 5, "{report:?}");
}

#[tokio::test]
async fn what_belongs_to_no_patient_needs_neither_study_nor_series() {
    const HANGING_PROTOCOL: Uid = Uid::from_static("1.2.840.10008.5.1.4.38.1");
    fn alone(held: &Held, syntax: &Uid) -> Vec<u8> {
        but(held, syntax, |set| {
            set.remove(STUDY_INSTANCE_UID);
            set.remove(SERIES_INSTANCE_UID);
        })
    }
    let habits = Habits { instead: Some((BAD, alone)), tells_classes: true, ..Habits::default() };
    let peer = Peer::with(habits, |held| held[1].class = HANGING_PROTOCOL);
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let report = get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
    assert!(report.complete && file(folder.path(), &peer.held[1]).exists(), "{report:?}");
}

#[tokio::test]
async fn uids_are_read_in_any_transfer_syntax_and_behind_group_lengths() {
    fn with_group_length(held: &Held, syntax: &Uid) -> Vec<u8> {
        but(held, syntax, |set| set.set_bytes(Tag(0x0008, 0x0000), VR::UL, &[0; 4]))
    }
    for syntax in
        ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"]
    {
        let habits =
            Habits { instead: Some((BAD, with_group_length)), tells_classes: true, ..Habits::default() };
        let node = Peer::new(habits).serve().await;
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { transfer_syntaxes: Some(vec![Uid::from_static(syntax)]), ..Options::default() };
        let report = get_with(&node, &["StudyInstanceUID=1.2.1"], folder.path(), options).await;
        assert!(report.complete, "{syntax}: {report:?}");
    }
}

#[tokio::test]
async fn the_same_bytes_again_are_a_success_and_other_ones_are_refused_and_told() {
    fn of_another_patient(held: &Held, syntax: &Uid) -> Vec<u8> {
        but(held, syntax, |set| set.set_text(Tag(0x0010, 0x0020), "PAT005"))
    }
    let layouts =
        ["{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm", "{Modality}/{PatientID}.dcm"];
    for (again, layout) in [None, Some(of_another_patient as Instead)]
        .into_iter()
        .flat_map(|again| layouts.map(|layout| (again, layout)))
    {
        let habits = Habits { repeats: Some((BAD, again)), tells_classes: true, ..Habits::default() };
        let peer = Peer::new(habits);
        let node = peer.serve().await;
        let folder = tempfile::tempdir().unwrap();
        let options = Options { layout: layout.parse().unwrap(), ..Options::default() };
        let mut refused = Vec::new();
        let retrieve =
            Retrieve::new(node, query(&["StudyInstanceUID=1.2.1"]), folder.path()).options(options);
        let note = |event: &Event| {
            if let Event::Refused { sop_instance, reason } = event {
                refused.push((sop_instance.clone(), reason.clone()));
            }
        };
        let report = retrieve.run(note).await.unwrap();
        assert_eq!((report.retrieved, report.failed, files(folder.path())), (5, 0, 5), "{report:?}");
        if again.is_none() {
            assert!(refused.is_empty() && report.notes.is_empty(), "{refused:?} {report:?}");
            continue;
        }
        assert!(refused[0].0 == BAD && refused[0].1.contains("0xC001"), "{refused:?}");
        assert_eq!(report.notes, [format!("instance {BAD} came again with other bytes: the first stays")]);
        if layout == layouts[0] {
            let bytes = std::fs::read(file(folder.path(), &peer.held[1])).unwrap();
            assert!(bytes.windows(6).any(|window| window == b"PAT004"));
        }
    }
}

#[tokio::test]
async fn what_came_in_an_earlier_run_stays_when_other_bytes_come_under_its_name() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
    std::fs::remove_file(file(folder.path(), &peer.held[2])).unwrap();
    let first = std::fs::read(file(folder.path(), &peer.held[1])).unwrap();

    let besides = Held { modality: "MR", ..peer.held[1].clone() };
    let habits = Habits { sends_besides: Some(besides), tells_classes: true, ..Habits::default() };
    let node = Peer::new(habits).serve().await;
    let report = get(&node, &["StudyInstanceUID=1.2.1"], folder.path()).await;
    assert_eq!((report.retrieved, report.present, report.complete), (1, 4, true), "{report:?}");
    assert!(report.notes[0].contains("other bytes"), "{report:?}");
    assert_eq!(std::fs::read(file(folder.path(), &peer.held[1])).unwrap(), first);
}
