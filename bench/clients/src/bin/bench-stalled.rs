//! `bench-stalled`: whether an archive serves the others at full speed while many associations are stalled.
//!
//!   bench-stalled AET@HOST:PORT WORKING STALLED RUNS
//!
//! Opens STALLED associations that do nothing any more: a third silent, a third in the middle of a C-STORE, a third
//! that asked for everything and do not read the answers. Beside them WORKING associations store 100 instances of
//! 3 KB each, ask for one study 100 times and echo 100 times. Runs in turns without the stalled ones and with them,
//! every run with instances of its own, and prints the median operations a second of both, and the slowest answer.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bench_clients::{Lean, Node, STUDY_ROOT_FIND, VERIFICATION, median};
use dicomet_testkit::hospital::Hospital;
use dicomet_testkit::instance::{Instance, Pixels};

const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
/// The answers that are not read fill the buffers of both sides first, which is work for the archive.
const UNTIL_THEY_STALL: Duration = Duration::from_secs(4);
/// Of each kind, on each association.
const OPERATIONS: usize = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [node, numbers @ ..] = &arguments[..] else { return usage() };
    let numbers: Result<Vec<usize>, _> = numbers.iter().map(|number| number.parse()).collect();
    let (Ok(node), Ok(numbers)) = (node.parse(), numbers) else { return usage() };
    let [working, stalled, runs] = numbers[..] else { return usage() };
    match run(&node, working, stalled, runs) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: bench-stalled AET@HOST:PORT WORKING STALLED RUNS");
    ExitCode::from(2)
}

fn run(node: &Node, working: usize, stalled: usize, runs: usize) -> io::Result<()> {
    let mut rates = [Vec::new(), Vec::new()];
    let mut slowest = [Duration::ZERO; 2];
    for run in 0..runs {
        for (with, beside) in [(0, 0), (1, stalled)] {
            let held = (0..beside).map(|number| stall(node, number)).collect::<io::Result<Vec<_>>>()?;
            // Also before a run without them: after some seconds of rest, everything is slower at first.
            std::thread::sleep(UNTIL_THEY_STALL);
            let (rate, slow) = work(node, working, &format!("{}.{run}.{with}", std::process::id()))?;
            drop(held);
            rates[with].push(rate);
            slowest[with] = slowest[with].max(slow);
        }
    }
    let [alone, beside] = rates.each_mut().map(|rates| median(rates));
    println!("| working | stalled | operations a second | slowest answer, ms |\n| --- | --- | --- | --- |");
    println!("| {working} | 0 | {alone:.0} | {:.1} |", slowest[0].as_secs_f64() * 1e3);
    println!("| {working} | {stalled} | {beside:.0} | {:.1} |", slowest[1].as_secs_f64() * 1e3);
    println!("\nwith them {:.2} of the rate without", beside / alone);
    Ok(())
}

/// An association that has come to a standstill, one of three ways.
fn stall(node: &Node, number: usize) -> io::Result<Lean> {
    match number % 3 {
        0 => Lean::open(node, VERIFICATION),
        1 => {
            let mut line = Lean::open(node, CT_IMAGE_STORAGE)?;
            let uid = format!("2.999.8.{}.{number}", std::process::id());
            let request = line.c_store_rq(&uid, &instance(&uid, 100_000));
            line.send(&request[..request.len() / 2])?;
            Ok(line)
        }
        _ => {
            let mut line = Lean::open(node, STUDY_ROOT_FIND)?;
            let questions = Hospital { studies: 1, instances: 1 }.questions();
            let all = questions.last().ok_or(io::ErrorKind::InvalidInput)?;
            let request = line.c_find_rq(&all.identifier());
            line.send(&request)?;
            Ok(line)
        }
    }
}

/// What so many associations get done, a second, and the longest that one of them waited.
fn work(node: &Node, working: usize, name: &str) -> io::Result<(f64, Duration)> {
    let began = Instant::now();
    let slowest = std::thread::scope(|scope| -> io::Result<Duration> {
        let workers: Vec<_> = (0..working)
            .map(|number| scope.spawn(move || operations(node, &format!("{name}.{number}"))))
            .collect();
        let mut slowest = Duration::ZERO;
        for worker in workers {
            slowest = slowest.max(worker.join().map_err(|_| io::Error::other("a thread panicked"))??);
        }
        Ok(slowest)
    })?;
    Ok(((working * OPERATIONS * 3) as f64 / began.elapsed().as_secs_f64(), slowest))
}

fn operations(node: &Node, name: &str) -> io::Result<Duration> {
    let mut slowest = Duration::ZERO;
    let mut line = Lean::open(node, CT_IMAGE_STORAGE)?;
    for number in 0..OPERATIONS {
        let uid = format!("2.999.9.{name}.{number}");
        let request = line.c_store_rq(&uid, &instance(&uid, 2500));
        slowest = slowest.max(answered(&mut line, &request)?);
    }
    line.release()?;
    let questions = Hospital { studies: 1, instances: 1 }.questions();
    let one =
        questions.iter().find(|question| question.name == "study UID").ok_or(io::ErrorKind::InvalidInput)?;
    let mut line = Lean::open(node, STUDY_ROOT_FIND)?;
    for _ in 0..OPERATIONS {
        let request = line.c_find_rq(&one.identifier());
        slowest = slowest.max(answered(&mut line, &request)?);
    }
    line.release()?;
    let mut line = Lean::open(node, VERIFICATION)?;
    for _ in 0..OPERATIONS {
        let request = line.c_echo_rq();
        slowest = slowest.max(answered(&mut line, &request)?);
    }
    line.release()?;
    Ok(slowest)
}

fn answered(line: &mut Lean, request: &[u8]) -> io::Result<Duration> {
    let began = Instant::now();
    line.send(request)?;
    loop {
        match line.status()? {
            0 => return Ok(began.elapsed()),
            0xFF00 | 0xFF01 => {}
            status => return Err(io::Error::other(format!("status {status:04X}"))),
        }
    }
}

fn instance(uid: &str, pixels: u64) -> Vec<u8> {
    Instance::new(CT_IMAGE_STORAGE, uid)
        .patient("PAT004", "Bowen^William^^Dr", "")
        .in_series(&format!("{uid}.1"), &format!("{uid}.1.1"))
        .pixels(Pixels::Native(pixels))
        .data_set()
}
