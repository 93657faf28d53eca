//! What was learnt of a peer is used by the next run: it asks for less.

use super::super::bulk::list::List;
use super::super::bulk::{Bulk, BulkOptions};
use super::failing::impatient;
use super::*;
use dicomet_testkit::peer::free_port;

/// Runs into a new folder, with what is known kept in `known`; answers the report and what was told of the peer.
async fn run(node: &Node, options: &Options, known: &std::path::Path) -> (Report, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { known: Some(Known::at(known)), ..options.clone() };
    let mut told = Vec::new();
    let tell = |event: &Event| {
        if let Event::Known(words) = event {
            told = words.clone();
        }
    };
    let retrieve = Retrieve::new(node.clone(), query(&["PatientID=PAT004"]), folder.path()).options(options);
    (retrieve.run(tell).await.unwrap(), told)
}

fn asked(peer: &Peer, what: &str) -> usize {
    std::mem::take(&mut *peer.operations.lock().unwrap()).iter().filter(|asked| *asked == what).count()
}

/// The abstract syntaxes of the contexts proposed since, by association.
fn proposed(peer: &Peer) -> Vec<Vec<Uid>> {
    std::mem::take(&mut *peer.proposed.lock().unwrap())
}

/// In how many contexts a class was proposed, on each association where it was.
fn contexts_of(class: &Uid, proposed: &[Vec<Uid>]) -> Vec<usize> {
    let counts = proposed.iter().map(|classes| classes.iter().filter(|one| *one == class).count());
    counts.filter(|count| *count > 0).collect()
}

#[tokio::test]
async fn a_peer_without_image_level_is_asked_for_it_once() {
    let peer = Peer::new(Habits { no_image_level: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    run(&node, &Options::default(), &known).await;
    assert_eq!(asked(&peer, "IMAGE"), 3);
    let (_, told) = run(&node, &Options::default(), &known).await;
    assert_eq!((asked(&peer, "IMAGE"), told), (1, vec!["answers no C-FIND at IMAGE level".to_owned()]));
}

#[tokio::test]
async fn a_list_learns_and_uses_the_same() {
    let peer = Peer::new(Habits { no_image_level: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = Some(Known::at(folder.path().join("nodes.json")));
    for (name, images) in [("first", 3), ("second", 1)] {
        let base = Query::new(Model::StudyRoot, Level::Study);
        let list = List::read(&b"1.2.1\n1.2.2\n"[..], base, Some("StudyInstanceUID")).unwrap();
        let retrieve = Options { known: known.clone(), ..Options::default() };
        let options = BulkOptions { retrieve, ..BulkOptions::default() };
        let bulk = Bulk::new(node.clone(), list, folder.path().join(name)).options(options);
        bulk.run(|_| {}).await.unwrap();
        assert_eq!(asked(&peer, "IMAGE"), images, "{name}");
    }
}

#[tokio::test]
async fn transfer_syntaxes_that_are_never_accepted_are_not_proposed_again() {
    let habits = || Habits { only_uncompressed: true, tells_classes: true, ..Habits::default() };
    let peer = Peer::new(habits());
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    let mut most = Vec::new();
    for _ in 0..2 {
        assert!(run(&node, &Options::default(), &known).await.0.complete);
        most.push(proposed(&peer).iter().map(Vec::len).max().unwrap());
    }
    assert!(most[0] > 50, "{most:?}");
    assert_eq!(most[1], 1 + 2 * 2, "C-GET, and two classes in two syntaxes");
}

#[tokio::test]
async fn a_peer_that_accepts_today_what_it_refused_before_is_offered_it_again() {
    let jpeg = Uid::from_static("1.2.840.10008.1.2.4.50");
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    let peer = Peer::with(Habits { tells_classes: true, ..Habits::default() }, |held| {
        held[0].only_in = Some(jpeg.clone());
    });
    let node = peer.serve().await;
    let syntaxes = known::Seen { refused: [jpeg].into(), ..known::Seen::default() };
    let lesson = known::Lesson { syntaxes, ..known::Lesson::default() };
    Known::at(&known).learn(&node, lesson, SystemTime::now());
    let (report, _) = run(&node, &Options::default(), &known).await;
    assert_eq!((report.retrieved, report.complete), (6, true), "{report:?}");
}

/// A peer that accepts no context for MR, of which it has two instances.
fn without_mr() -> Arc<Peer> {
    let refuses_class = std::sync::Mutex::new(Some(MR));
    Peer::new(Habits { refuses_class, tells_classes: true, ..Habits::default() })
}

const MR: Uid = uids::MR_IMAGE_STORAGE;
const ENHANCED_CT: Uid = Uid::from_static("1.2.840.10008.5.1.4.1.1.2.1");

const NO_CONTEXT_FOR_ONE: &str = "accepts no context for 1 of the SOP classes";

/// What a run learns of a peer that accepts no context for these classes.
fn refused(classes: &[Uid]) -> known::Lesson {
    let classes = known::Seen { refused: classes.iter().cloned().collect(), ..known::Seen::default() };
    known::Lesson { classes, ..known::Lesson::default() }
}

#[tokio::test]
async fn a_peer_that_accepts_nothing_for_a_class_is_not_said_to_need_both_roles() {
    let peer = without_mr();
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    assert_eq!(run(&node, &Options::default(), &known).await.0.retrieved, 4);
    assert!(Known::at(&known).habits(&node, SystemTime::now()).both_roles.is_none());
}

#[tokio::test]
async fn a_class_that_is_never_accepted_is_proposed_in_one_context_and_at_the_end_in_all() {
    let peer = without_mr();
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    let mut first = Vec::new();
    for expected in [&[][..], &[NO_CONTEXT_FOR_ONE]] {
        let (report, told) = run(&node, &Options::default(), &known).await;
        assert_eq!(told, expected);
        assert_eq!((report.retrieved, report.failed, report.complete), (4, 2, false), "{report:?}");
        let reason = "the peer accepted no presentation context for MR Image Storage";
        assert!(report.failures.iter().all(|failure| failure.reason.contains(reason)), "{report:?}");
        let proposed = contexts_of(&MR, &proposed(&peer));
        first.push(proposed[0]);
        assert!(proposed.iter().any(|count| *count > 50), "{proposed:?}");
    }
    assert!(first[0] > 50 && first[1] == 1, "{first:?}");
}

#[tokio::test]
async fn a_class_that_is_guessed_and_never_accepted_is_proposed_in_one_context_alone() {
    let refuses_class = std::sync::Mutex::new(Some(ENHANCED_CT));
    let peer = Peer::new(Habits { refuses_class, no_image_level: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    assert_eq!(run(&node, &Options::default(), &known).await.0.retrieved, 6);
    assert!(contexts_of(&ENHANCED_CT, &proposed(&peer))[0] > 10);
    assert_eq!(run(&node, &Options::default(), &known).await.0.retrieved, 6);
    assert_eq!(contexts_of(&ENHANCED_CT, &proposed(&peer)), [1]);
}

#[tokio::test]
async fn a_class_that_is_accepted_today_comes_and_is_unlearnt() {
    let peer = without_mr();
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    assert_eq!(run(&node, &Options::default(), &known).await.0.retrieved, 4);
    proposed(&peer);
    asked(&peer, "GET");
    *peer.habits.refuses_class.lock().unwrap() = None;
    let (report, told) = run(&node, &Options::default(), &known).await;
    assert_eq!((report.retrieved, report.complete, told), (6, true, vec![NO_CONTEXT_FOR_ONE.to_owned()]));
    let contexts = contexts_of(&MR, &proposed(&peer));
    assert!(contexts[0] == 1 && contexts[1] > 50 && contexts.len() == 2, "{contexts:?}");
    assert_eq!(asked(&peer, "GET"), 2, "each study once: nothing on the association with the probe");
    let (report, told) = run(&node, &Options::default(), &known).await;
    assert_eq!((report.complete, told.len()), (true, 0), "it was unlearnt: {told:?}");
    assert!(contexts_of(&MR, &proposed(&peer))[0] > 50);
}

#[tokio::test]
async fn what_is_accepted_by_a_probe_comes_in_its_own_syntax_while_what_is_refused_is_left_out() {
    let jpeg = Uid::from_static("1.2.840.10008.1.2.4.50");
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    let refuses_class = std::sync::Mutex::new(Some(ENHANCED_CT));
    let peer = Peer::with(Habits { refuses_class, tells_classes: true, ..Habits::default() }, |held| {
        held.iter_mut().find(|held| held.class == MR).unwrap().only_in = Some(jpeg);
        held.push(Held { class: ENHANCED_CT, ..Held::ct("1.2.1", 3, 1) });
    });
    let node = peer.serve().await;
    Known::at(&known).learn(&node, refused(&[MR, ENHANCED_CT]), SystemTime::now());
    let (report, _) = run(&node, &Options::default(), &known).await;
    assert_eq!((report.retrieved, report.failed), (6, 1), "{report:?}");
    let proposed = proposed(&peer);
    let (mr, enhanced) = (contexts_of(&MR, &proposed), contexts_of(&ENHANCED_CT, &proposed));
    assert!(mr[0] == 1 && mr[1] > 50, "{mr:?}");
    assert!(enhanced[..2] == [1, 1] && enhanced[2..].iter().any(|count| *count > 50), "{enhanced:?}");
    let left: Vec<Uid> = Known::at(&known).habits(&node, SystemTime::now()).refused_classes.uids().collect();
    assert_eq!(left, [ENHANCED_CT], "MR is unlearnt");
}

#[tokio::test]
async fn a_class_that_was_probed_is_tried_in_full_a_week_after_it_was_learnt() {
    let peer = without_mr();
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    let day = |number: u64| Duration::from_secs(number * 24 * 3600);
    let now = SystemTime::now();
    Known::at(&known).learn(&node, refused(&[MR]), now - day(6));
    let (_, told) = run(&node, &Options::default(), &known).await;
    assert_eq!(told, [NO_CONTEXT_FOR_ONE]);
    let left = |at| Known::at(&known).habits(&node, at).refused_classes.len();
    assert_eq!((left(now), left(now + day(1))), (1, 0));
}

#[tokio::test]
async fn what_was_never_proposed_is_not_called_refused() {
    // The peer aborts when it is asked for the first study, which has more classes than leave room for MR.
    let peer = Peer::with(
        Habits { dies_of: Some(Uid::from_static("1.2.1")), tells_classes: true, ..Habits::default() },
        |held| {
            let classes = (0..9).map(|number| Held {
                class: Uid::new(format!("1.2.3.{number}")).unwrap(),
                ..Held::ct("1.2.1", 1, number)
            });
            *held = classes.collect();
            held.push(Held { class: MR, modality: "MR", ..Held::ct("1.2.2", 1, 1) });
        },
    );
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = Known::at(folder.path().join("nodes.json"));
    // All is planned at once where there is no association beside that for C-FIND.
    let lesson = known::Lesson { associations_most: Some(1), ..known::Lesson::default() };
    known.learn(&node, lesson, SystemTime::now());
    let options = Options { known: Some(known.clone()), ..Options::default() };
    let retrieve = Retrieve::new(node.clone(), query(&["PatientID=PAT004"]), folder.path().join("out"));
    retrieve.options(options).run(|_| {}).await.unwrap_err();
    assert!(contexts_of(&MR, &proposed(&peer)).is_empty());
    assert!(known.habits(&node, SystemTime::now()).refused_classes.is_empty());
}

#[tokio::test]
async fn a_limit_to_answers_is_known_to_the_next_run() {
    let habits = Habits { ends_find_after: Some((1, Status::new(0xB001))), ..Habits::default() };
    let peer = Peer::new(Habits { tells_classes: true, ..habits });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    assert!(run(&node, &Options::default(), &known).await.0.complete);
    let (_, told) = run(&node, &Options::default(), &known).await;
    assert_eq!(told, ["answers a query with 1 studies at the most"]);
}

/// A peer that sends by C-MOVE to us.
fn moving(habits: Habits) -> (Arc<Peer>, Options) {
    let port = free_port();
    let peer = Peer::new(Habits { moves_to: Some(port), tells_classes: true, ..habits });
    let receive = Some(format!("127.0.0.1:{port}").parse().unwrap());
    (peer, Options { receive, ..impatient() })
}

#[tokio::test]
async fn a_peer_of_which_c_get_is_useless_is_asked_by_c_move_at_once() {
    let (peer, options) = moving(Habits { refuses_get: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    assert!(run(&node, &options, &known).await.0.complete);
    assert!(asked(&peer, "GET") > 0);
    let (report, told) = run(&node, &options, &known).await;
    assert!(report.complete && told == ["sends by C-MOVE and not by C-GET"], "{told:?}");
    assert_eq!(asked(&peer, "GET"), 0);
}

#[tokio::test]
async fn where_c_move_fails_c_get_is_tried_though_it_was_said_to_be_useless() {
    let peer = Peer::new(Habits { tells_classes: true, ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    let lesson = known::Lesson { no_get: Some(true), ..known::Lesson::default() };
    Known::at(&known).learn(&node, lesson, SystemTime::now());
    // An address that is not ours: nobody can be sent to there.
    let options = Options { receive: Some("192.0.2.1:104".parse().unwrap()), ..Options::default() };
    let (report, told) = run(&node, &options, &known).await;
    assert_eq!((report.complete, report.method, told.len()), (true, Method::Get, 1), "{report:?}");
    let (report, told) = run(&node, &options, &known).await;
    assert_eq!((report.complete, told.len()), (true, 0), "it was unlearnt: {told:?}");
}

#[tokio::test]
async fn one_instance_that_comes_by_c_move_alone_is_no_reason_to_call_c_get_useless() {
    let bad = Uid::from_static("1.2.1.1.2");
    let (peer, options) = moving(Habits { fails_by_get: Some(bad.clone()), ..Habits::default() });
    let node = peer.serve().await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("nodes.json");
    assert!(run(&node, &options, &known).await.0.complete);
    assert!(peer.sent.lock().unwrap().contains(&bad));
    let (_, told) = run(&node, &options, &known).await;
    assert!(!told.contains(&"sends by C-MOVE and not by C-GET".to_owned()), "{told:?}");
}
