//! `testkit-line`: a line with a length between a requestor and an acceptor on this machine, for measuring what
//! distance costs. Runs until it is ended.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use dicomet_testkit::line::Line;

const USAGE: &str = "\
usage: testkit-line LISTEN ACCEPTOR [--round-trip MS] [--bandwidth MBIT] [--cut-after BYTES] [--cuts N]
LISTEN and ACCEPTOR are ADDRESS:PORT; port 0 takes a free one. Prints the address it listens on.";

#[tokio::main]
async fn main() -> ExitCode {
    match run(std::env::args().skip(1)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

async fn run(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let mut address = |what: &str| -> Result<SocketAddr, String> {
        let word = words.next().ok_or_else(|| format!("{what} is missing"))?;
        word.parse().map_err(|_| format!("'{word}' is no address and port"))
    };
    let listen = address("LISTEN")?;
    let acceptor = address("ACCEPTOR")?;
    let mut line = Line::default();
    while let Some(option) = words.next() {
        let value = words.next().ok_or_else(|| format!("{option} wants a value"))?;
        let number: u64 =
            value.parse().map_err(|_| format!("{option} wants a whole number, not '{value}'"))?;
        match option.as_str() {
            "--round-trip" => line.round_trip = Duration::from_millis(number),
            "--bandwidth" => line.bits_per_second = Some(number * 1_000_000),
            "--cut-after" => {
                line.cut_after_bytes = Some(number);
                line.cuts = line.cuts.max(1);
            }
            "--cuts" => line.cuts = usize::try_from(number).unwrap_or(usize::MAX),
            _ => return Err(format!("{option} is no option")),
        }
    }
    let proxy = line.open(listen, acceptor).await.map_err(|error| format!("{listen}: {error}"))?;
    println!("{}", proxy.address());
    std::future::pending().await
}
