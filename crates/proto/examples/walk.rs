//! Walks over files and folders: which are refused, and why; how long a walk takes.
//!
//! `cargo run --release -p dicomet-proto --example walk -- PATH...`

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dicomet_proto::dataset::scan::{Walk, walk_seekable};
use dicomet_proto::dataset::{DataSet, FileMeta};

/// Walks over one file in memory, for the time.
const REPEAT: u32 = 1000;

#[derive(Default)]
struct Report {
    walked: u32,
    refused: u32,
    odd: u32,
    no_meta: u32,
    not_alike: u32,
}

fn main() {
    let mut report = Report::default();
    let mut paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let single = paths.len() == 1 && paths[0].is_file();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if let Err(error) = visit(&path, single, &mut report) {
            println!("{}: {error}", path.display());
        }
    }
    let Report { walked, refused, odd, no_meta, not_alike } = report;
    println!("{walked} walked, {refused} refused, {odd} with odd lengths, {no_meta} without file meta");
    println!("{not_alike} not the same when parsed, written and parsed again");
}

fn visit(path: &Path, measure: bool, report: &mut Report) -> Result<(), Box<dyn std::error::Error>> {
    let mut file = File::open(path)?;
    let Ok((meta, offset)) = FileMeta::read(&mut file) else {
        report.no_meta += 1;
        return Ok(());
    };
    file.seek(SeekFrom::Start(offset))?;
    let header = walk_seekable(&mut file, &meta.transfer_syntax).inspect_err(|_| report.refused += 1)?;
    report.walked += 1;
    report.odd += u32::from(header.odd_lengths > 0);
    if header.length > 100 * 1024 * 1024 {
        return Ok(());
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))?;
    file.read_to_end(&mut bytes)?;
    if measure {
        let times = |run: &dyn Fn()| -> Duration {
            let start = Instant::now();
            (0..REPEAT).for_each(|_| run());
            start.elapsed() / REPEAT
        };
        let walk = times(&|| {
            let mut walk = Walk::new(&meta.transfer_syntax).expect("a syntax that was walked");
            walk.push(&bytes).and_then(|()| walk.finish()).expect("a data set that was walked");
        });
        println!(
            "{} bytes, {} elements in its header: {walk:?}",
            bytes.len(),
            header.data_set.tags().count()
        );
    }
    let parsed = DataSet::parse(&bytes, &meta.transfer_syntax)?;
    let again = DataSet::parse(&parsed.encode(&meta.transfer_syntax)?, &meta.transfer_syntax)?;
    if parsed != again {
        report.not_alike += 1;
        for tag in parsed.tags() {
            let (mut one, mut other) = (DataSet::new(), DataSet::new());
            one.copy(tag, &parsed);
            other.copy(tag, &again);
            if one != other {
                println!("{}: {tag} is not the same again", path.display());
            }
        }
    }
    Ok(())
}
