//! `bench-find`: how long archives take to answer the same questions, asked of each in turn.
//!
//!   bench-find STUDIES RUNS AET@HOST:PORT...
//!
//! STUDIES is the size of the hospital that the archives were filled with (`testkit-generate --hospital`). Prints one
//! row of a Markdown table a question: the answers, and for each archive the median of RUNS runs in milliseconds, to
//! the first answer and to the last. With two archives also how many times faster the second is.

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use bench_clients::{Lean, Node, STUDY_ROOT_FIND, median};
use dicomet_testkit::hospital::{Hospital, Question};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match &arguments[..] {
        [studies, runs, nodes @ ..] if !nodes.is_empty() => {
            let nodes: Result<Vec<Node>, String> = nodes.iter().map(|node| node.parse()).collect();
            studies.parse().ok().zip(runs.parse().ok()).zip(nodes.ok())
        }
        _ => None,
    };
    let Some(((studies, runs), nodes)) = parsed else {
        eprintln!("usage: bench-find STUDIES RUNS AET@HOST:PORT...");
        return ExitCode::from(2);
    };
    match run(Hospital { studies, instances: 1 }, runs, &nodes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers, and milliseconds to the first and to the last.
struct Answered {
    count: usize,
    first: f64,
    last: f64,
}

fn run(hospital: Hospital, runs: usize, nodes: &[Node]) -> io::Result<()> {
    let mut lines =
        nodes.iter().map(|node| Lean::open(node, STUDY_ROOT_FIND)).collect::<io::Result<Vec<_>>>()?;
    print!("| asked for | answers ");
    for node in nodes {
        print!("| {node}: first | last ");
    }
    println!("{}", if nodes.len() == 2 { "| ratio: first | last |" } else { "|" });
    println!("|{}", " --- |".repeat(2 + 2 * nodes.len() + if nodes.len() == 2 { 2 } else { 0 }));
    for question in hospital.questions() {
        let mut firsts = vec![Vec::new(); nodes.len()];
        let mut lasts = vec![Vec::new(); nodes.len()];
        let mut counts = vec![0; nodes.len()];
        // The first run of each warms it up and is not counted.
        for run in 0..=runs {
            for (number, line) in lines.iter_mut().enumerate() {
                let answered = ask(line, &question)?;
                counts[number] = answered.count;
                if run > 0 {
                    firsts[number].push(answered.first);
                    lasts[number].push(answered.last);
                }
            }
        }
        let agreed = counts.iter().all(|count| *count == counts[0]);
        let answers = if agreed { counts[0].to_string() } else { format!("{counts:?}") };
        print!("| {} | {answers} ", question.name);
        let first: Vec<f64> = firsts.iter_mut().map(|times| median(times)).collect();
        let last: Vec<f64> = lasts.iter_mut().map(|times| median(times)).collect();
        for (first, last) in first.iter().zip(&last) {
            print!("| {first:.2} | {last:.2} ");
        }
        match (&first[..], &last[..]) {
            ([theirs, ours], [their_last, our_last]) => {
                println!("| {:.1} | {:.1} |", theirs / ours, their_last / our_last);
            }
            _ => println!("|"),
        }
    }
    lines.into_iter().try_for_each(Lean::release)
}

fn ask(line: &mut Lean, question: &Question) -> io::Result<Answered> {
    const PENDING: [u16; 2] = [0xFF00, 0xFF01];
    let request = line.c_find_rq(&question.identifier());
    let began = Instant::now();
    let milliseconds = || began.elapsed().as_secs_f64() * 1e3;
    line.send(&request)?;
    let (mut count, mut first) = (0, None);
    loop {
        for status in line.statuses()? {
            let now = milliseconds();
            let first = *first.get_or_insert(now);
            match status {
                pending if PENDING.contains(&pending) => count += 1,
                0 => return Ok(Answered { count, first, last: now }),
                status => return Err(io::Error::other(format!("{}: status {status:04X}", question.name))),
            }
        }
    }
}
