//! `testkit-generate`: writes made-up studies into a folder, for trying things out and for measuring.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use dicomet_testkit::hospital::Hospital;
use dicomet_testkit::study::Plan;

const USAGE: &str = "\
usage: testkit-generate --out DIR [--studies N] [--series N] [--instances N] [--size BYTES]
                        [--sop-classes N] [--transfer-syntax UID[,UID]...] [--seed N]
       testkit-generate --out DIR --hospital STUDIES
Writes N studies of N series of N instances of about BYTES each. The same arguments give the same bytes.
With --hospital: so many studies of one small instance each, with the headers of a hospital.";

fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)).and_then(|(out, plan, hospital)| {
        let failed = |error| format!("{}: {error}", out.display());
        let written = match hospital {
            Some(studies) => write_hospital(studies, &out).map_err(failed)?,
            None => plan.write_to(&out).map_err(failed)?.len(),
        };
        println!("{written} instances in {}", out.display());
        Ok(())
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Reads pairs of option and value.
fn arguments(mut words: impl Iterator<Item = String>) -> Result<(PathBuf, Plan, Option<u64>), String> {
    let mut out = None;
    let mut plan = Plan::default();
    let mut hospital = None;
    while let Some(option) = words.next() {
        let value = words.next().ok_or_else(|| format!("{option} wants a value"))?;
        match option.as_str() {
            "--out" => out = Some(PathBuf::from(value)),
            "--studies" => plan.studies = number(&option, &value)?,
            "--series" => plan.series = number(&option, &value)?,
            "--instances" => plan.instances = number(&option, &value)?,
            "--size" => plan.size_bytes = number(&option, &value)?,
            "--sop-classes" => plan.sop_classes = number(&option, &value)?,
            "--hospital" => hospital = Some(number(&option, &value)?),
            "--seed" => plan.seed = number(&option, &value)?,
            "--transfer-syntax" => plan.transfer_syntaxes = value.split(',').map(str::to_owned).collect(),
            _ => return Err(format!("{option} is no option")),
        }
    }
    Ok((out.ok_or("--out is missing")?, plan, hospital))
}

/// A thousand files to a folder.
fn write_hospital(studies: u64, out: &Path) -> io::Result<usize> {
    let hospital = Hospital { studies, instances: 1 };
    for number in 0..studies {
        let folder = out.join(format!("{:04}", number / 1000));
        if number % 1000 == 0 {
            std::fs::create_dir_all(&folder)?;
        }
        std::fs::write(folder.join(format!("{number:07}.dcm")), hospital.instance(number).part10())?;
    }
    Ok(studies as usize)
}

fn number<N: std::str::FromStr>(option: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("{option} wants a number, not '{value}'"))
}
