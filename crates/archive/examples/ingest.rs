//! Measures the archive alone, without a network: `cargo run --release -p dicomet-archive --example ingest --
//! FOLDER STUDIES [THREADS]` stores that many studies of one small instance each, and then asks for them.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dicomet_archive::{Archive, Provenance, Settings};
use dicomet_proto::Uid;
use dicomet_proto::dataset::Tag;
use dicomet_proto::query::{Level, Model, Query};
use dicomet_testkit::instance::{Instance, Pixels};

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const FAMILY_NAMES: [&str; 8] = ["Bowen", "Bower", "Müller", "Yamada", "García", "Smith", "Okafor", "Novák"];
const STUDY_DATE: Tag = Tag(0x0008, 0x0020);
const ACCESSION_NUMBER: Tag = Tag(0x0008, 0x0050);
const MODALITY: Tag = Tag(0x0008, 0x0060);
const MODALITIES_IN_STUDY: Tag = Tag(0x0008, 0x0061);
const PATIENT_NAME: Tag = Tag(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag(0x0010, 0x0020);
const STUDY_INSTANCE_UID: Tag = Tag(0x0020, 0x000D);
const STUDY_RELATED_INSTANCES: Tag = Tag(0x0020, 0x1208);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let usage = "FOLDER STUDIES [THREADS]";
    let folder = arguments.next().ok_or(usage)?;
    let studies: usize = arguments.next().ok_or(usage)?.parse()?;
    let threads: usize = arguments.next().map_or(Ok(1), |threads| threads.parse())?;
    let archive = Archive::open(Path::new(&folder), Settings::default())?;
    ingest(&archive, studies, threads)?;
    for (what, tag, value) in [
        ("accession number", ACCESSION_NUMBER, format!("A{}", studies / 2)),
        ("patient id", PATIENT_ID, format!("P{}", studies / 2)),
        ("study UID", STUDY_INSTANCE_UID, format!("2.999.{}", studies / 2)),
        ("name prefix", PATIENT_NAME, "bowen^12*".to_owned()),
        ("name infix", PATIENT_NAME, "*nov*^77*".to_owned()),
        ("a month", STUDY_DATE, "20200301-20200331".to_owned()),
        ("modality", MODALITIES_IN_STUDY, "MR".to_owned()),
        ("all", STUDY_DATE, "*".to_owned()),
    ] {
        find(&archive, what, tag, &value)?;
    }
    Ok(())
}

fn ingest(archive: &Archive, studies: usize, threads: usize) -> Result<(), Failure> {
    let next = AtomicUsize::new(0);
    let (began, cpu_before) = (Instant::now(), cpu());
    let building = std::thread::scope(|scope| -> Result<Duration, Failure> {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> Result<Duration, Failure> {
                    let mut building = Duration::ZERO;
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= studies {
                            return Ok(building);
                        }
                        let began = Instant::now();
                        let (provenance, data_set) = instance(number)?;
                        building += began.elapsed();
                        let mut incoming = archive.receive(provenance)?;
                        incoming.write(&data_set)?;
                        incoming.commit()?;
                    }
                })
            })
            .collect();
        let mut building = Duration::ZERO;
        for worker in workers {
            building += worker.join().map_err(|_| "a thread panicked")??;
        }
        Ok(building)
    })?;
    let (elapsed, cpu) = (began.elapsed(), cpu().saturating_sub(cpu_before).saturating_sub(building));
    let each = |time: Duration| time.as_secs_f64() * 1e6 / studies.max(1) as f64;
    println!(
        "stored {studies} by {threads} threads: {:.0} us each, {:.0} us of it CPU (building them left out)",
        each(elapsed),
        each(cpu)
    );
    Ok(())
}

fn instance(number: usize) -> Result<(Provenance, Vec<u8>), Failure> {
    let study = format!("2.999.{number}");
    let name = format!("{}^{number}", FAMILY_NAMES[number % FAMILY_NAMES.len()]);
    let sop_instance = format!("{study}.1.1");
    let instance = Instance::new(CT, &sop_instance)
        .patient(&format!("P{number}"), &name, "ISO_IR 192")
        .with(ACCESSION_NUMBER, &format!("A{number}"))
        .with(STUDY_DATE, &format!("{}{:02}{:02}", 2005 + number % 20, number % 12 + 1, number % 28 + 1))
        .with(MODALITY, if number.is_multiple_of(100) { "MR" } else { "CT" })
        .in_series(&study, &format!("{study}.1"))
        .pixels(Pixels::Native(2500));
    let provenance = Provenance {
        sop_class: Uid::from_static(CT),
        sop_instance: Uid::new(sop_instance)?,
        transfer_syntax: Uid::from_static("1.2.840.10008.1.2.1"),
        calling_ae_title: None,
    };
    Ok((provenance, instance.data_set()))
}

fn find(archive: &Archive, what: &str, tag: Tag, value: &str) -> Result<(), Failure> {
    let mut query = Query::new(Model::StudyRoot, Level::Study);
    for asked in [
        PATIENT_NAME,
        PATIENT_ID,
        STUDY_DATE,
        STUDY_INSTANCE_UID,
        MODALITIES_IN_STUDY,
        STUDY_RELATED_INSTANCES,
    ] {
        query.keys.set_empty(asked);
    }
    query.keys.set_text(tag, value);
    let began = Instant::now();
    let mut matches = archive.find(&query)?;
    let first = matches.next().transpose()?;
    let to_first = began.elapsed();
    let mut count = usize::from(first.is_some());
    for answer in matches {
        answer?;
        count += 1;
    }
    println!("{what}: {count} matches, first after {to_first:.1?}, last after {:.1?}", began.elapsed());
    Ok(())
}

/// The processor time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
