//! `bench-floor`: the least time that this machine needs to bring files home.
//!
//! One thread sends each file by sendfile over loopback TCP, the other reads from the socket and writes new files.
//! No protocol: the receiver knows the lengths beforehand. What a program that speaks DICOM needs beyond this is its
//! own doing.
//!
//!   bench-floor FROM TO     every file below FROM, into new files in the folder TO

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

/// As much as one read takes.
const BUFFER: usize = 512 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = &arguments[..] else {
        eprintln!("usage: bench-floor FROM TO");
        return ExitCode::from(2);
    };
    match run(from, to) {
        Ok(files) => {
            println!("{files} files");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(from: &Path, to: &Path) -> io::Result<usize> {
    let mut files = Vec::new();
    list(from, &mut files)?;
    let lengths: Vec<u64> = files.iter().map(|(_, length)| *length).collect();
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let sender = thread::spawn(move || send(&listener, &files));
    receive(TcpStream::connect(address)?, to, &lengths)?;
    sender.join().map_err(|_| io::Error::other("the sender panicked"))??;
    Ok(lengths.len())
}

fn list(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push((entry.path(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

fn send(listener: &TcpListener, files: &[(PathBuf, u64)]) -> io::Result<()> {
    let (stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    for (path, length) in files {
        let file = File::open(path)?;
        let mut offset = 0;
        while offset < *length {
            let rest = usize::try_from(length - offset).unwrap_or(usize::MAX);
            if rustix::fs::sendfile(&stream, &file, Some(&mut offset), rest)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok(())
}

fn receive(mut stream: TcpStream, to: &Path, lengths: &[u64]) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let (mut begin, mut end) = (0, 0);
    for (number, length) in lengths.iter().enumerate() {
        let mut file = File::create_new(to.join(format!("{number}.dcm")))?;
        let mut rest = usize::try_from(*length).map_err(io::Error::other)?;
        while rest > 0 {
            if begin == end {
                (begin, end) = (0, stream.read(&mut buffer)?);
                if end == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let take = rest.min(end - begin);
            file.write_all(&buffer[begin..begin + take])?;
            begin += take;
            rest -= take;
        }
    }
    Ok(())
}
