//! `testkit-line`: a line with a length between a requestor and an acceptor on this machine, for measuring what
//! distance costs. Runs until it is ended.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use dicomet_testkit::line::{Cut, End, Line, Way};

const USAGE: &str = "\
usage: testkit-line LISTEN ACCEPTOR [--round-trip MS] [--bandwidth MBIT]
                    [--cut-after BYTES] [--cut-way back|there] [--cut-by fin|rst] [--cuts N]
LISTEN and ACCEPTOR are ADDRESS:PORT; port 0 takes a free one. Prints the address it listens on.
With --cut-after: the first N connections, by default one, are cut after so many bytes in that direction.";

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
    let mut cut = Cut { after_bytes: 0, way: Way::ToRequestor, end: End::Fin, connections: 0..0 };
    let mut cuts = None;
    while let Some(option) = words.next() {
        let value = words.next().ok_or_else(|| format!("{option} wants a value"))?;
        let number = || -> Result<u64, String> {
            value.parse().map_err(|_| format!("{option} wants a whole number, not '{value}'"))
        };
        match (option.as_str(), value.as_str()) {
            ("--round-trip", _) => line.round_trip = Duration::from_millis(number()?),
            ("--bandwidth", _) => line.bits_per_second = Some(number()? * 1_000_000),
            ("--cut-after", _) => {
                cut.after_bytes = number()?;
                cut.connections = 0..1;
            }
            ("--cut-way", "back") => cut.way = Way::ToRequestor,
            ("--cut-way", "there") => cut.way = Way::ToAcceptor,
            ("--cut-by", "fin") => cut.end = End::Fin,
            ("--cut-by", "rst") => cut.end = End::Rst,
            ("--cuts", _) => cuts = Some(usize::try_from(number()?).unwrap_or(usize::MAX)),
            _ => return Err(format!("{option} {value} is no option")),
        }
    }
    if !cut.connections.is_empty() {
        line.cut = Some(Cut { connections: 0..cuts.unwrap_or(1), ..cut });
    }
    let proxy = line.open(listen, acceptor).await.map_err(|error| format!("{listen}: {error}"))?;
    println!("{}", proxy.address());
    std::future::pending().await
}
