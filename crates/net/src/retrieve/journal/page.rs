//! A page of the journal: lines of words with a space between.
//!
//! ```text
//! dicomet-journal 2                        the format
//! series UID                               what is expected: a series, and
//! instance UID [SOP class UID]             each of its instances
//! more N                                   the peer counts N more than it named; `more ?`, or does not tell
//! end N                                    that was the list, of N instances; a list without it does not count
//! here UID BYTES                           an instance stands under its name, its file so long
//! ```
//!
//! The list is written with the page, which is put in place by a rename; what has come is appended, a write each, and of
//! several lines for an instance the last counts. What is no such line, as a cut may leave it, is passed over. A page
//! of a format that is not known counts as empty.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};

use dicomet_proto::Uid;

use crate::retrieve::inventory::{Instance, Series, Study};

/// The first line.
pub(super) const FORMAT: &str = "dicomet-journal 2\n";

/// Longer than any line: two UIDs of 64 characters and a word.
const MAX_LINE: u64 = 256;

/// How long the file of each instance was when it got its name.
pub(in crate::retrieve) type Here = HashMap<Uid, u64>;

/// What is expected of a study, and what has come.
#[derive(Debug, Default, PartialEq)]
pub(in crate::retrieve) struct Page {
    /// The series, wanted in whole or in part, with their instances; `None` when nothing is known to be expected.
    pub(in crate::retrieve) expected: Option<Vec<Series>>,
    /// Instances beyond those named.
    pub(in crate::retrieve) more: More,
    /// What has come.
    pub(in crate::retrieve) here: Here,
    /// Lines of what has come.
    lines: usize,
}

/// Instances that are expected beyond those that were named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::retrieve) enum More {
    /// All were named.
    #[default]
    None,
    /// The peer counts so many more.
    Counted(u64),
    /// Nobody tells.
    Unknown,
}

impl Page {
    /// Reads a page. Memory is bounded by what is in it, and no line is longer than it may be.
    pub(super) fn read(mut from: impl BufRead) -> io::Result<Page> {
        let mut page = Page::default();
        let mut list = Vec::new();
        let mut more = More::None;
        let mut line = Vec::new();
        let mut is_first = true;
        while from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)? > 0 {
            if std::mem::take(&mut is_first) && line != FORMAT.as_bytes() {
                return Ok(Page::default());
            }
            match parse(&line) {
                Some(Line::Series(uid)) => {
                    list.push(Series { uid, is_whole: true, counted: None, instances: Vec::new() })
                }
                Some(Line::Instance(instance)) => {
                    list.last_mut().into_iter().for_each(|series| series.instances.push(instance.clone()));
                }
                Some(Line::More(told)) => more = told,
                Some(Line::End(named)) if count(&list) == named => {
                    page.expected = Some(std::mem::take(&mut list));
                    page.more = more;
                }
                Some(Line::Here(instance, bytes)) => {
                    page.lines += 1;
                    page.here.insert(instance, bytes);
                }
                Some(Line::End(_)) | None => {}
            }
            line.clear();
        }
        Ok(page)
    }

    /// What is to be expected of the study from now on, after what C-FIND told of it.
    ///
    /// What is wanted whole is as it is told now. Of what is wanted in part, by keys that may be others than those of an
    /// earlier run, the instances are added.
    pub(super) fn expectation<'s>(&self, study: &'s Study) -> (Cow<'s, [Series]>, More) {
        if study.is_whole && study.is_named {
            let more = match study.counted.unwrap_or(0).saturating_sub(count(&study.series)) {
                0 => More::None,
                more => More::Counted(more),
            };
            return (Cow::Borrowed(&study.series), more);
        }
        let known = self.expected.clone().unwrap_or_default();
        let expected = study
            .series
            .iter()
            .fold(known, |expected, series| with_series(expected, series, study.is_named && series.is_whole));
        let more = match study.counted.filter(|_| study.is_whole) {
            _ if study.is_named => self.more,
            Some(counted) if counted > count(&expected) => More::Counted(counted - count(&expected)),
            _ => More::Unknown,
        };
        (Cow::Owned(expected), more)
    }

    /// Whether this is what was expected before.
    pub(super) fn expects(&self, expected: &[Series], more: More) -> bool {
        let is_same =
            |(one, other): (&Series, &Series)| one.uid == other.uid && one.instances == other.instances;
        self.more == more
            && self
                .expected
                .as_ref()
                .is_some_and(|known| known.len() == expected.len() && known.iter().zip(expected).all(is_same))
    }

    /// Whether more than half of what is written is out of date.
    pub(super) fn is_wordy(&self) -> bool {
        const FEW: usize = 64;
        self.lines > 2 * self.here.len() + FEW
    }
}

/// Writes a whole page.
pub(super) fn write(to: &mut impl Write, expected: &[Series], more: More, here: &Here) -> io::Result<()> {
    to.write_all(FORMAT.as_bytes())?;
    for series in expected {
        writeln!(to, "series {}", series.uid)?;
        for instance in &series.instances {
            match &instance.sop_class {
                Some(class) => writeln!(to, "instance {} {class}", instance.uid)?,
                None => writeln!(to, "instance {}", instance.uid)?,
            }
        }
    }
    match more {
        More::None => {}
        More::Counted(more) => writeln!(to, "more {more}")?,
        More::Unknown => writeln!(to, "more ?")?,
    }
    writeln!(to, "end {}", count(expected))?;
    here.iter().try_for_each(|(instance, bytes)| to.write_all(line_for(instance, *bytes).as_bytes()))
}

/// The series with another one, which replaces what is known of it or is added to it.
fn with_series(mut expected: Vec<Series>, series: &Series, replaces: bool) -> Vec<Series> {
    match expected.iter_mut().find(|known| known.uid == series.uid) {
        Some(known) if replaces => known.instances.clone_from(&series.instances),
        Some(known) => {
            let named: std::collections::HashSet<Uid> =
                known.instances.iter().map(|instance| instance.uid.clone()).collect();
            let news = series.instances.iter().filter(|instance| !named.contains(&instance.uid));
            known.instances.extend(news.cloned());
        }
        None => expected.push(series.clone()),
    }
    expected
}

fn count(list: &[Series]) -> u64 {
    list.iter().map(|series| series.instances.len() as u64).sum()
}

/// The line for an instance that stands under its name.
pub(super) fn line_for(instance: &Uid, bytes: u64) -> String {
    format!("here {instance} {bytes}\n")
}

enum Line {
    Series(Uid),
    Instance(Instance),
    More(More),
    End(u64),
    Here(Uid, u64),
}

fn parse(line: &[u8]) -> Option<Line> {
    let line = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
    let mut words = line.split(' ');
    let line = match words.next()? {
        "series" => Line::Series(uid(words.next()?)?),
        "instance" => {
            let instance = uid(words.next()?)?;
            let sop_class = words.next().map(|word| uid(word).ok_or(())).transpose().ok()?;
            Line::Instance(Instance { uid: instance, sop_class })
        }
        "more" => Line::More(match words.next()? {
            "?" => More::Unknown,
            number => More::Counted(number.parse().ok()?),
        }),
        "end" => Line::End(words.next()?.parse().ok()?),
        "here" => Line::Here(uid(words.next()?)?, words.next()?.parse().ok()?),
        _ => return None,
    };
    words.next().is_none().then_some(line)
}

fn uid(word: &str) -> Option<Uid> {
    Uid::new(word).ok()
}
