//! A child process whose output is gathered while it runs and that is ended when the value is dropped.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Nothing here takes nearly as long on a machine that works.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// It forks: it leads a process group, all of which ends with it.
    is_group: bool,
    stdout: Arc<Output>,
    stderr: Arc<Output>,
    /// The threads that read its output; they end with it.
    readers: Vec<std::thread::JoinHandle<()>>,
}

/// What a process that has ended leaves.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: String,
    /// All it wrote to standard error.
    pub stderr: String,
}

/// The lines of one output so far.
#[derive(Debug, Default)]
struct Output {
    state: Mutex<(String, bool)>,
    grown: Condvar,
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started, or has not ended within [`DEADLINE`].
pub fn run(command: &mut Command) -> Ended {
    Process::start(command).finish()
}

impl Process {
    /// Starts a command that forks: what it forks ends with it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_group(command: &mut Command) -> Process {
        let mut process = Process::start(command.process_group(0));
        process.is_group = true;
        process
    }

    /// Starts a command.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Process {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start ({error}); scripts/test installs it"));
        let (stdout, stderr) = (Arc::<Output>::default(), Arc::<Output>::default());
        let readers = vec![
            gather(child.stdout.take().expect("it is piped"), &stdout),
            gather(child.stderr.take().expect("it is piped"), &stderr),
        ];
        Process { name, child, is_group: false, stdout, stderr, readers }
    }

    /// Waits for a line on standard error that contains this text, and returns it.
    ///
    /// # Panics
    /// When the output ends first, or the deadline passes.
    pub fn wait_for_line(&self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.stderr.state.lock().expect("no reader panics");
        loop {
            if let Some(line) = state.0.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!state.1 && !left.is_zero(), "{} never said '{text}':\n{}", self.name, state.0);
            state = self.stderr.grown.wait_timeout(state, left).expect("no reader panics").0;
        }
    }

    /// Waits until a port of 127.0.0.1 takes connections. False when the process has ended before.
    ///
    /// # Panics
    /// When the deadline passes.
    pub fn wait_for_port(&mut self, port: u16) -> bool {
        until(&format!("{} listens on port {port}", self.name), || {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(true);
            }
            self.child.try_wait().expect("it is our child").map(|_| false)
        })
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When the deadline passes.
    pub fn finish(mut self) -> Ended {
        let name = self.name.clone();
        let status = until(&format!("{name} ends"), || self.child.try_wait().expect("it is our child"));
        for reader in self.readers.drain(..) {
            reader.join().expect("no reader panics");
        }
        Ended { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    /// Asks it to end (SIGTERM) and waits for that.
    ///
    /// # Panics
    /// When it does not.
    pub fn terminate(self) -> Ended {
        self.signal("TERM")
    }

    /// Does what Ctrl-C does (SIGINT) and waits for the end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn interrupt(self) -> Ended {
        self.signal("INT")
    }

    /// Asks it to read its configuration again (SIGHUP).
    pub fn hangup(&self) {
        self.send("HUP");
    }

    fn signal(self, name: &str) -> Ended {
        self.send(name);
        self.finish()
    }

    fn send(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let killed = Command::new("sh").args(["-c", &kill]).status().expect("there is a shell");
        assert!(killed.success(), "{} has gone before", self.name);
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(self) {
        drop(self);
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_group {
            let kill = format!("kill -KILL -{}", self.child.id());
            let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The exit status, -1 for a signal.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }

    /// Itself, if it ended with 0.
    ///
    /// # Panics
    /// When it did not, with all it wrote.
    #[track_caller]
    pub fn expect_success(self) -> Ended {
        self.expect_code(0)
    }

    /// Itself, if it ended with this status.
    ///
    /// # Panics
    /// When it did not, with all it wrote.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ended {
        assert_eq!(self.code(), code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Asks again and again until there is an answer.
///
/// # Panics
/// When [`DEADLINE`] passes first.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it took too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Output {
    fn text(&self) -> String {
        self.state.lock().expect("no reader panics").0.clone()
    }
}

/// Reads an output to its end, line by line.
fn gather(from: impl Read + Send + 'static, into: &Arc<Output>) -> std::thread::JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            let ended = !matches!(from.read_until(b'\n', &mut line), Ok(1..));
            let mut state = into.state.lock().expect("no reader panics");
            state.0.push_str(&String::from_utf8_lossy(&line));
            state.1 = ended;
            into.grown.notify_all();
            if ended {
                return;
            }
        }
    })
}
