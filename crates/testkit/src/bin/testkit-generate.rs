//! `testkit-generate`: writes made-up studies into a folder, for trying things out and for measuring.

use std::path::PathBuf;
use std::process::ExitCode;

use dicomet_testkit::study::Plan;

const USAGE: &str = "\
usage: testkit-generate --out DIR [--studies N] [--series N] [--instances N] [--size BYTES]
                        [--sop-classes N] [--transfer-syntax UID[,UID]...] [--seed N]
Writes N studies of N series of N instances of about BYTES each. The same arguments give the same bytes.";

fn main() -> ExitCode {
    match arguments(std::env::args().skip(1)).and_then(|(out, plan)| {
        let written = plan.write_to(&out).map_err(|error| format!("{}: {error}", out.display()))?;
        println!("{} instances in {}", written.len(), out.display());
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
fn arguments(mut words: impl Iterator<Item = String>) -> Result<(PathBuf, Plan), String> {
    let mut out = None;
    let mut plan = Plan::default();
    while let Some(option) = words.next() {
        let value = words.next().ok_or_else(|| format!("{option} wants a value"))?;
        match option.as_str() {
            "--out" => out = Some(PathBuf::from(value)),
            "--studies" => plan.studies = number(&option, &value)?,
            "--series" => plan.series = number(&option, &value)?,
            "--instances" => plan.instances = number(&option, &value)?,
            "--size" => plan.size_bytes = number(&option, &value)?,
            "--sop-classes" => plan.sop_classes = number(&option, &value)?,
            "--seed" => plan.seed = number(&option, &value)?,
            "--transfer-syntax" => plan.transfer_syntaxes = value.split(',').map(str::to_owned).collect(),
            _ => return Err(format!("{option} is no option")),
        }
    }
    Ok((out.ok_or("--out is missing")?, plan))
}

fn number<N: std::str::FromStr>(option: &str, value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("{option} wants a number, not '{value}'"))
}
