//! Who the archive is on the network, whom it lets in, and how much it takes on. Read once, handed down by value.

use std::time::Duration;

use dicomet_net::association::Timeouts;
use dicomet_net::service::c_store;
use dicomet_net::service::sub_operations::Pace;
use dicomet_proto::AeTitle;

use crate::Nodes;

/// The settings of a [`crate::Server`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our AE title; the value of Retrieve AE Title (0008,0054) in answers.
    pub ae_title: AeTitle,
    /// By which called AE titles we let ourselves be called.
    pub called: CalledAeTitles,
    /// Associations at a time; the next is rejected as transient, local limit exceeded.
    pub max_associations: usize,
    /// Associations at a time of one host; `None` is three quarters of `max_associations`.
    pub of_one_host: Option<usize>,
    /// The largest asynchronous operations window that is granted, in either direction.
    pub max_window: u16,
    /// What is stored.
    pub sop_classes: SopClasses,
    /// The nodes that we know at the start; by default none, and everybody is let in.
    pub nodes: Nodes,
    /// How retrieves keep time.
    pub pace: Pace,
    /// How long to wait for a move destination, and for who is to get a report.
    pub destination: Timeouts,
    /// How storage commitment is reported.
    pub reports: Reports,
    /// How long running operations may go on after a stop was asked for.
    pub grace: Duration,
}

/// How storage commitment is reported (PS3.4 J.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    /// How long a requestor has, after its request was answered, to go on or to release: when it does neither, it
    /// gets the report on the same association.
    pub same_association: Duration,
    /// The pause after the first try on an association of our own; it doubles, up to an hour.
    pub pause: Duration,
    /// So often a report is tried; then it is given up.
    pub tries: u32,
}

impl Default for Reports {
    fn default() -> Reports {
        Reports {
            same_association: Duration::from_millis(500),
            pause: Duration::from_secs(10),
            // The last after some 23 hours: a modality that was switched off for the night gets its reports.
            tries: 32,
        }
    }
}

/// The called AE titles that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledAeTitles {
    /// Whatever the peer calls us: half of the configurations out there have it wrong.
    Any,
    /// Our own alone.
    Own,
}

/// The SOP classes that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SopClasses {
    /// Those of PS3.6, private ones, and those of the standard that are newer than our PS3.6.
    Any,
    /// Those of PS3.6 alone.
    Standard,
}

impl Settings {
    /// The defaults, under an AE title.
    pub fn new(ae_title: AeTitle) -> Settings {
        Settings {
            ae_title,
            called: CalledAeTitles::Any,
            // A viewer opens five to ten; one association has some 600 KiB of buffers.
            max_associations: 200,
            of_one_host: None,
            max_window: c_store::WINDOW,
            sop_classes: SopClasses::Any,
            nodes: Nodes::default(),
            pace: Pace::default(),
            destination: Timeouts::default(),
            reports: Reports::default(),
            grace: Duration::from_secs(10),
        }
    }

    /// Associations at a time of one host (of IPv6, of a network of 64 bits); the next is rejected as one beyond
    /// `max_associations` is.
    pub fn max_associations_per_host(&self) -> usize {
        // A gateway in front of many may have most of them, and still not all.
        let most = self.max_associations - self.max_associations / 4;
        self.of_one_host.unwrap_or(most).min(self.max_associations)
    }
}
