//! Fills an archive with a made-up hospital, by the way that every instance takes, and asks it questions:
//!
//! ```text
//! cargo run --release -p dicomet-archive --example fill -- FOLDER STUDIES [INSTANCES [THREADS]]
//! ```
//!
//! stores STUDIES studies of INSTANCES small instances (1; about 1.3 KB, a file each) with THREADS threads (64, so
//! that one sync serves many), tells the rate as the archive grows, and times the selective questions and others,
//! without a network. What is there already is not stored again: run it with 0 threads to ask only.
//!
//! A million studies of ten instances take 40 GB for the files (a block of 4 KiB each), 4 GB for the index, and ten million
//! inodes. On a virtual disk with two cores, which had other work as well, they took 65 minutes.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dicomet_archive::{Archive, Provenance, Settings};
use dicomet_proto::Uid;
use dicomet_proto::dataset::Tag;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::query::{Level, Model, Query};
use dicomet_testkit::hospital::{Hospital, Question};

/// The rate is told for the time in which the archive grew to each of these, from half of it.
const MILESTONES: [u64; 7] = [10_000, 100_000, 300_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000];
/// Each question is asked so often, and the median told.
const RUNS: usize = 5;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let usage = "FOLDER STUDIES [INSTANCES [THREADS]]";
    let folder = arguments.next().ok_or(usage)?;
    let mut numbers = Vec::new();
    for argument in arguments {
        numbers.push(argument.parse::<u64>()?);
    }
    let studies = *numbers.first().ok_or(usage)?;
    let hospital = Hospital { studies, instances: numbers.get(1).copied().unwrap_or(1) };
    let threads = numbers.get(2).copied().unwrap_or(64);

    let archive = Archive::open(Path::new(&folder), Settings::default())?;
    if threads > 0 {
        fill(&archive, hospital, threads)?;
    }
    println!("{} studies, {} instances", hospital.studies, hospital.len());
    for question in hospital.questions() {
        ask(&archive, &question)?;
    }
    Ok(())
}

fn fill(archive: &Archive, hospital: Hospital, threads: u64) -> Result<(), Failure> {
    let (next, stored) = (AtomicU64::new(0), AtomicU64::new(0));
    let (began, cpu_before) = (Instant::now(), cpu());
    // When the archive had grown to half a milestone, and to it.
    let passed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| -> Result<(), Failure> {
        let work = || -> Result<(), Failure> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= hospital.len() {
                    return Ok(());
                }
                store(archive, hospital, number)?;
                let count = stored.fetch_add(1, Ordering::Relaxed) + 1;
                if MILESTONES.iter().any(|&milestone| count == milestone || count == milestone / 2) {
                    passed.lock().map_err(|_| "a thread panicked")?.push((count, began.elapsed()));
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| "a thread panicked")??;
        }
        Ok(())
    })?;
    let (elapsed, cpu) = (began.elapsed(), cpu().saturating_sub(cpu_before));
    let passed = passed.into_inner().map_err(|_| "a thread panicked")?;
    let at = |wanted: u64| passed.iter().find(|(count, _)| *count == wanted).map(|(_, at)| *at);
    for milestone in MILESTONES {
        if let (Some(half), Some(whole)) = (at(milestone / 2), at(milestone)) {
            let rate = (milestone / 2) as f64 / whole.saturating_sub(half).as_secs_f64();
            println!("at {milestone}: {rate:.0} instances a second");
        }
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / hospital.len().max(1) as f64;
    println!(
        "stored {} with {threads} threads in {:.1} s: {:.0} us each, {:.0} us of processor time",
        hospital.len(),
        elapsed.as_secs_f64(),
        each(elapsed),
        each(cpu)
    );
    Ok(())
}

fn store(archive: &Archive, hospital: Hospital, number: u64) -> Result<(), Failure> {
    let made = hospital.instance(number);
    let mut incoming = archive.receive(Provenance {
        sop_class: Uid::from_static(made.sop_class_uid),
        sop_instance: Uid::new(made.sop_instance_uid)?,
        transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
        calling_ae_title: None,
    })?;
    incoming.write(&made.data_set)?;
    incoming.commit()?;
    Ok(())
}

fn ask(archive: &Archive, question: &Question) -> Result<(), Failure> {
    let mut times = Vec::new();
    let mut count = 0;
    for _ in 0..RUNS {
        let began = Instant::now();
        let mut matches = archive.find(&query(question))?;
        count = usize::from(matches.next().transpose()?.is_some());
        let first = began.elapsed();
        for answer in matches {
            answer?;
            count += 1;
        }
        times.push((began.elapsed(), first));
    }
    times.sort();
    let (last, first) = times[RUNS / 2];
    println!("{}: {count} answers, first after {first:.1?}, last after {last:.1?}", question.name);
    Ok(())
}

fn query(question: &Question) -> Query {
    let tag = |tag: dicomet_testkit::hospital::Tag| Tag(tag.group(), tag.element());
    let mut query = Query::new(Model::StudyRoot, Level::Study);
    for (asked, _) in Question::RETURNED {
        query.keys.set_empty(tag(*asked));
    }
    if question.value.is_empty() {
        query.keys.set_empty(tag(question.tag));
    } else {
        query.keys.set_text(tag(question.tag), &question.value);
    }
    query
}

/// The processor time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
