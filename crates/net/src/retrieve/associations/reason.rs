//! Why there are as many associations as there are, in words.

use std::fmt;

/// Why there are so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The user says so.
    Asked,
    /// A retrieve begins with one.
    First,
    /// As many were worth it in an earlier run.
    Remembered,
    /// Whether more are faster is being tried.
    Trying,
    /// More brought too little.
    NoGain {
        /// So many were tried.
        tried: usize,
        /// So much faster the whole was, in percent.
        percent: i32,
    },
    /// More were faster, and fewer of them are enough for that.
    Enough {
        /// So many were tried.
        tried: usize,
        /// So many times as fast the whole was.
        times: u32,
    },
    /// The peer granted a window of so many operations (0: without limit), which covers the line.
    Window(u16),
    /// As many as are ever opened, or as there is work for.
    Most,
    /// The peer rejects further ones.
    Rejected,
    /// The peer leaves further ones without an answer.
    Unserved,
    /// The peer has become slower.
    Slower,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Asked => f.write_str("as asked for"),
            Reason::First => f.write_str("to begin with"),
            Reason::Remembered => f.write_str("as many as were worth it last time"),
            Reason::Trying => f.write_str("to see whether more are faster"),
            Reason::NoGain { tried, percent } if *percent > 0 => {
                write!(f, "{tried} were only {percent} % faster")
            }
            Reason::NoGain { tried, .. } => write!(f, "{tried} were no faster"),
            Reason::Enough { tried, times } => {
                write!(f, "{tried} were {times} times as fast, for which these are enough")
            }
            Reason::Window(0) => f.write_str("the peer may send without waiting for answers"),
            Reason::Window(window) => write!(f, "the window of {window} operations covers the line"),
            Reason::Most => f.write_str("there is no use for more"),
            Reason::Rejected => f.write_str("the peer rejects further ones"),
            Reason::Unserved => f.write_str("the peer does not answer further ones"),
            Reason::Slower => f.write_str("the peer has become slower"),
        }
    }
}
