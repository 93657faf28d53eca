//! `dicomet import`: files into an archive without a network, by the same write path as C-STORE.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use dicomet_archive::{Archive, Outcome as Written};
use dicomet_net::store::walk::{Step, Walk};
use indicatif::{ProgressBar, ProgressStyle};

use crate::archive_args::{ArchiveArgs, open_archive};
use crate::exit::{CommandError, Exit};
use crate::output;

/// Bring files into an archive without a network
///
/// Folders are walked; symbolic links in them are not followed. A file that is not DICOM, or that the archive
/// refuses, is named with the reason, and the rest goes on.
///
/// Exit status: 0 the archive has every file; 1 it has none; 2 wrong usage; 3 done in part: it is said which files it
/// has not, and why.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// Files and folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// The folder of the archive; made when it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    #[command(flatten)]
    archive: ArchiveArgs,
}

/// Files that are brought in side by side: they share the syncs of the disk.
const WORKERS: usize = 8;

/// What became of the files.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) stored: u64,
    pub(super) present: u64,
    pub(super) failed: u64,
    pub(super) bytes: u64,
}

pub async fn run(args: ImportArgs) -> Result<ExitCode, CommandError> {
    let began = Instant::now();
    let archive = open_archive(args.data.clone(), args.archive.settings()).await?;
    let progress = ProgressBar::new_spinner().with_style(
        ProgressStyle::with_template("{spinner} {pos} files, {per_sec}, {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    progress.enable_steady_tick(Duration::from_millis(100));
    let paths = args.paths.clone();
    let shown = progress.clone();
    let importing = tokio::task::spawn_blocking(move || {
        import(&archive, paths, |outcome| {
            shown.inc(1);
            if let Err((path, reason)) = outcome {
                shown.suspend(|| output::tell(format_args!("not stored: {}: {reason}", path.display())));
            }
        })
    });
    let summary = importing
        .await
        .map_err(|error| CommandError::new(format!("the import ended by a fault of ours: {error}")))?;
    progress.finish_and_clear();
    output::line(format_args!(
        "{} instances stored ({:.1} MB), {} present already, {} files not stored, in {:.1} s",
        summary.stored,
        summary.bytes as f64 / 1e6,
        summary.present,
        summary.failed,
        began.elapsed().as_secs_f64()
    ))?;
    Ok(match (summary.failed, summary.stored + summary.present) {
        (0, _) => Exit::Done,
        (_, 0) => Exit::Failed,
        _ => Exit::Partial,
    }
    .into())
}

/// What became of one file: stored (with its bytes), present already, or why not.
pub(super) type Outcome = Result<Option<u64>, (PathBuf, String)>;

/// Brings in files and folders, and tells of each file as it is done.
pub(super) fn import(archive: &Archive, paths: Vec<PathBuf>, mut tell: impl FnMut(&Outcome)) -> Summary {
    let (outcomes, done) = mpsc::channel();
    let (names, next) = mpsc::sync_channel::<PathBuf>(1024);
    let next = Mutex::new(next);
    let mut summary = Summary::default();
    std::thread::scope(|scope| {
        let walker = outcomes.clone();
        scope.spawn(move || walk(paths, &names, &walker));
        for _ in 0..WORKERS {
            let (next, outcomes) = (&next, outcomes.clone());
            scope.spawn(move || {
                loop {
                    let path = next.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(path) = path else { break };
                    if outcomes.send(import_file(archive, path)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(outcomes);
        for outcome in done {
            tell(&outcome);
            match outcome {
                Ok(Some(bytes)) => {
                    summary.stored += 1;
                    summary.bytes += bytes;
                }
                Ok(None) => summary.present += 1,
                Err(_) => summary.failed += 1,
            }
        }
    });
    summary
}

fn import_file(archive: &Archive, path: PathBuf) -> Outcome {
    match archive.import(&path) {
        Ok(stored) => Ok((stored.outcome != Written::AlreadyThere).then_some(stored.data_set_length)),
        Err(error) => Err((path, error.to_string())),
    }
}

/// Names the files below the paths.
fn walk(paths: Vec<PathBuf>, names: &mpsc::SyncSender<PathBuf>, outcomes: &mpsc::Sender<Outcome>) {
    // A link that was named is meant; the archive itself follows none.
    let named = paths.into_iter().map(|path| std::fs::canonicalize(&path).unwrap_or(path));
    for step in Walk::new(named) {
        let goes_on = match step {
            Step::File(place) => names.send(place.path).is_ok(),
            Step::Unreadable { path, error } => outcomes.send(Err((path, error.to_string()))).is_ok(),
            Step::Other { .. } => true,
        };
        if !goes_on {
            return;
        }
    }
}
