//! The plan of a store: which presentation contexts to propose, in how many associations, and what goes over
//! which. Pure.
//!
//! An acceptor picks one transfer syntax a context, so each SOP class gets a context for every transfer syntax
//! its files are in. Where they are uncompressed, the other uncompressed encoding is proposed too: an acceptor
//! that takes only Implicit VR Little Endian, the default of PS3.5 10.1, still gets them.
//!
//! ```text
//! files: class and syntax of each -> rounds: at most 128 contexts, and the files that go over them
//! ```

use std::collections::HashMap;

use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::uids;

use super::files::FileInstance;

/// Presentation contexts in one association: odd numbers of one byte (PS3.8 9.3.2.2).
pub const MAX_CONTEXTS: usize = 128;

/// The uncompressed encodings that can be made of one another.
const PLAIN: [Uid; 2] = [uids::EXPLICIT_VR_LITTLE_ENDIAN, uids::IMPLICIT_VR_LITTLE_ENDIAN];

/// What goes over associations with the same contexts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Round {
    /// SOP class and transfer syntax of each context, at most [`MAX_CONTEXTS`].
    pub contexts: Vec<(Uid, Uid)>,
    /// The files, by their place in the list, in its order.
    pub files: Vec<usize>,
}

/// The rounds in which all files go.
pub fn rounds(files: &[FileInstance]) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    let mut round_of: HashMap<(&Uid, &Uid), usize> = HashMap::new();
    for (class, stored) in classes(files) {
        for contexts in with_fallbacks(stored).chunks(MAX_CONTEXTS) {
            let place = match rounds.iter().position(|r| r.contexts.len() + contexts.len() <= MAX_CONTEXTS) {
                Some(place) => place,
                None => {
                    rounds.push(Round::default());
                    rounds.len() - 1
                }
            };
            for &syntax in contexts {
                rounds[place].contexts.push((class.clone(), syntax.clone()));
                round_of.insert((class, syntax), place);
            }
        }
    }
    for (place, file) in files.iter().enumerate() {
        if let Some(&round) = round_of.get(&(&file.sop_class, &file.transfer_syntax)) {
            rounds[round].files.push(place);
        }
    }
    rounds
}

/// Each SOP class with the transfer syntaxes its files are in, in the order in which they come.
fn classes(files: &[FileInstance]) -> Vec<(&Uid, Vec<&Uid>)> {
    let mut classes: Vec<(&Uid, Vec<&Uid>)> = Vec::new();
    let mut place_of: HashMap<&Uid, usize> = HashMap::new();
    for file in files {
        let place = *place_of.entry(&file.sop_class).or_insert_with(|| {
            classes.push((&file.sop_class, Vec::new()));
            classes.len() - 1
        });
        let syntaxes = &mut classes[place].1;
        if !syntaxes.contains(&&file.transfer_syntax) {
            syntaxes.push(&file.transfer_syntax);
        }
    }
    classes
}

fn with_fallbacks(mut syntaxes: Vec<&Uid>) -> Vec<&Uid> {
    if syntaxes.iter().any(|syntax| PLAIN.contains(syntax)) {
        for plain in const { &PLAIN } {
            if !syntaxes.contains(&plain) {
                syntaxes.push(plain);
            }
        }
    }
    syntaxes
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

    fn file(class: usize, syntax: &str) -> FileInstance {
        FileInstance {
            path: "file".into(),
            sop_class: Uid::new(format!("1.2.3.{class}")).unwrap(),
            sop_instance: Uid::from_static("1.2.3.4"),
            transfer_syntax: Uid::new(syntax).unwrap(),
            offset: 0,
            length: 1,
            note: None,
        }
    }

    #[test]
    fn each_class_is_proposed_in_the_syntaxes_of_its_files_and_plain_ones_in_both() {
        let explicit = uids::EXPLICIT_VR_LITTLE_ENDIAN;
        let files = [file(1, JPEG_2000), file(2, explicit.as_str()), file(1, JPEG_2000), file(2, JPEG_2000)];
        let jpeg_2000 = Uid::from_static(JPEG_2000);
        let one = Uid::from_static("1.2.3.1");
        let two = Uid::from_static("1.2.3.2");
        let contexts = vec![
            (one, jpeg_2000.clone()),
            (two.clone(), explicit),
            (two.clone(), jpeg_2000),
            (two, uids::IMPLICIT_VR_LITTLE_ENDIAN),
        ];
        assert_eq!(rounds(&files), [Round { contexts, files: vec![0, 1, 2, 3] }]);
    }

    #[test]
    fn beyond_128_contexts_further_associations_follow_and_no_file_is_left_out_or_sent_twice() {
        let files: Vec<_> = (0..400).map(|number| file(number % 300, JPEG_2000)).collect();
        let rounds = rounds(&files);
        assert_eq!(rounds.iter().map(|round| round.contexts.len()).collect::<Vec<_>>(), [128, 128, 44]);
        let mut sent: Vec<_> = rounds.iter().flat_map(|round| round.files.clone()).collect();
        sent.sort_unstable();
        assert_eq!(sent, (0..400).collect::<Vec<_>>());
        for round in &rounds {
            for &place in &round.files {
                let wanted = (files[place].sop_class.clone(), files[place].transfer_syntax.clone());
                assert!(round.contexts.contains(&wanted));
            }
        }
    }

    #[test]
    fn a_class_in_more_syntaxes_than_an_association_has_contexts_is_divided() {
        let files: Vec<_> = (0..200).map(|number| file(1, &format!("1.2.{number}"))).collect();
        let rounds = rounds(&files);
        assert_eq!(rounds.iter().map(|round| round.files.len()).collect::<Vec<_>>(), [128, 72]);
    }

    #[test]
    fn nothing_to_send_is_no_round() {
        assert_eq!(rounds(&[]), []);
    }
}
