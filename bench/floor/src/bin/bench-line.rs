//! `bench-line`: what `testkit-line` takes by itself, without distance and without a limit to its bandwidth.
//!
//! Sends blocks over loopback, directly and through the line: one way, both ways at once, and one byte there and back.
//! Every block has its number in it, and must come whole and in its place. Prints the rows of a Markdown table.
//!
//!   bench-line MEGABYTES     in each direction; `testkit-line` is to lie beside the program, or on the path

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const BLOCK: usize = 64 * 1024;

/// How often the byte goes there and back.
const TURNS: u32 = 2000;

fn main() -> ExitCode {
    let megabytes = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let Some(megabytes) = megabytes else {
        eprintln!("usage: bench-line MEGABYTES");
        return ExitCode::from(2);
    };
    match run(megabytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(megabytes: u64) -> io::Result<()> {
    let blocks = megabytes * 1_000_000 / BLOCK as u64;
    println!("| measure | directly | through the line |\n| --- | --- | --- |");
    let rate = |ways: u64, took: Duration| (ways * blocks * BLOCK as u64) as f64 / took.as_secs_f64() / 1e9;
    let (direct, through) = both(|near, far| transfer(near, far, blocks, 0))?;
    println!("| one way, GB/s | {:.2} | {:.2} |", rate(1, direct), rate(1, through));
    let (direct, through) = both(|near, far| transfer(near, far, blocks, blocks))?;
    println!("| both ways, GB/s | {:.2} | {:.2} |", rate(2, direct), rate(2, through));
    let (direct, through) = both(turns)?;
    let each = |took: Duration| took.as_secs_f64() * 1e6 / f64::from(TURNS);
    println!("| one byte there and back, µs | {:.0} | {:.0} |", each(direct), each(through));
    Ok(())
}

/// Measures over a connection, and over one through the line: the median of three each, in turns.
fn both(measure: impl Fn(TcpStream, TcpStream) -> io::Result<Duration>) -> io::Result<(Duration, Duration)> {
    let (mut direct, mut through) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        direct.push(measure(near, listener.accept()?.0)?);
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let line = Line::before(listener.local_addr()?)?;
        let near = TcpStream::connect(line.address)?;
        through.push(measure(near, listener.accept()?.0)?);
    }
    direct.sort();
    through.sort();
    Ok((direct[1], through[1]))
}

/// Sends so many blocks there and so many back, at the same time.
fn transfer(near: TcpStream, far: TcpStream, there: u64, back: u64) -> io::Result<Duration> {
    let begin = Instant::now();
    let (near_too, far_too) = (near.try_clone()?, far.try_clone()?);
    let workers = [
        thread::spawn(move || send(near, there)),
        thread::spawn(move || receive(far, there)),
        thread::spawn(move || send(far_too, back)),
        thread::spawn(move || receive(near_too, back)),
    ];
    for worker in workers {
        worker.join().map_err(|_| io::Error::other("a thread panicked"))??;
    }
    Ok(begin.elapsed())
}

fn send(mut stream: TcpStream, blocks: u64) -> io::Result<()> {
    let mut block = vec![0x5a; BLOCK];
    for number in 0..blocks {
        block[..8].copy_from_slice(&number.to_be_bytes());
        block[BLOCK - 8..].copy_from_slice(&number.to_be_bytes());
        stream.write_all(&block)?;
    }
    Ok(())
}

fn receive(mut stream: TcpStream, blocks: u64) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    for number in 0..blocks {
        stream.read_exact(&mut block)?;
        let number = number.to_be_bytes();
        if block[..8] != number
            || block[BLOCK - 8..] != number
            || block[8..BLOCK - 8].iter().any(|byte| *byte != 0x5a)
        {
            return Err(io::Error::other("a block is not what was sent, or not in its place"));
        }
    }
    Ok(())
}

/// One byte there and back, again and again.
fn turns(mut near: TcpStream, mut far: TcpStream) -> io::Result<Duration> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let echo = thread::spawn(move || {
        let mut byte = [0];
        while far.read(&mut byte)? > 0 {
            far.write_all(&byte)?;
        }
        Ok::<_, io::Error>(())
    });
    let begin = Instant::now();
    for turn in 0..TURNS {
        let sent = [turn as u8];
        let mut received = [!sent[0]];
        near.write_all(&sent)?;
        near.read_exact(&mut received)?;
        if received != sent {
            return Err(io::Error::other("another byte came back"));
        }
    }
    let took = begin.elapsed();
    drop(near);
    echo.join().map_err(|_| io::Error::other("a thread panicked"))??;
    Ok(took)
}

/// A `testkit-line`, ended when dropped.
struct Line {
    child: Child,
    address: SocketAddr,
}

impl Line {
    fn before(acceptor: SocketAddr) -> io::Result<Line> {
        let beside = std::env::current_exe()?.with_file_name("testkit-line");
        let program = if beside.exists() { beside } else { "testkit-line".into() };
        let mut child = Command::new(program)
            .arg("127.0.0.1:0")
            .arg(acceptor.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
        let mut first = String::new();
        BufReader::new(stdout).read_line(&mut first)?;
        let address = first.trim().parse().map_err(io::Error::other)?;
        Ok(Line { child, address })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
