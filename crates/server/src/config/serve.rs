//! The table `[serve]` of the configuration. Every key may be absent: the defaults are those of the settings.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use dicomet_proto::AeTitle;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{LogFilter, Size, Text};
use crate::Settings;
use crate::settings::{CalledAeTitles, SopClasses};

/// What `dicomet serve` goes by, as it stands in the file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeEntry {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// Our AE title.
    pub aet: Option<Text<AeTitle>>,
    /// The folder of the archive.
    #[serde(deserialize_with = "folder")]
    pub data: Option<PathBuf>,
    /// Whether an archive may be made where there is none.
    pub existing: Option<bool>,
    /// By which called AE titles we let ourselves be called.
    pub called: Option<Called>,
    /// Whether those that are not in the table are let in.
    pub open: Option<bool>,
    /// Associations at a time.
    pub max_associations: Option<NonZeroU32>,
    /// Associations at a time of one host.
    pub max_associations_per_host: Option<NonZeroU32>,
    /// The largest asynchronous operations window.
    pub max_window: Option<NonZeroU16>,
    /// What is stored.
    pub sop_classes: Option<Stored>,
    /// Seconds that running operations have after a stop was asked for.
    pub grace: Option<u32>,
    /// Seconds to the second try of a storage commitment report.
    pub report_pause: Option<NonZeroU32>,
    /// Tries after which a storage commitment report is given up.
    pub report_tries: Option<NonZeroU32>,
    /// What becomes of other bytes under a SOP Instance UID that is there.
    pub duplicate: Option<Duplicate>,
    /// The most bytes of instances.
    pub quota: Option<Text<Size>>,
    /// What is logged.
    pub log: Option<Text<LogFilter>>,
    /// How it is logged.
    pub log_format: Option<LogFormat>,
}

/// An empty path would be the folder in which we happen to run, or none.
fn folder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let folder = PathBuf::deserialize(deserializer)?;
    if folder.as_os_str().is_empty() {
        return Err(D::Error::custom("it is empty: it names no folder"));
    }
    Ok(Some(folder))
}

/// Called AE titles that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Called {
    /// Whatever the peer calls us.
    Any,
    /// Our own alone.
    Own,
}

/// SOP classes that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stored {
    /// Those of PS3.6, and private ones.
    Any,
    /// Those of PS3.6.
    Standard,
}

/// What becomes of other bytes under a SOP Instance UID that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicate {
    /// The first stays, the second is refused.
    Refuse,
    /// The second takes its place.
    Replace,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A line of JSON.
    Json,
}

impl ServeEntry {
    /// Puts what the file says into the settings of a server.
    pub fn apply(&self, settings: &mut Settings) {
        if let Some(called) = self.called {
            settings.called = match called {
                Called::Any => CalledAeTitles::Any,
                Called::Own => CalledAeTitles::Own,
            };
        }
        let number = |number: NonZeroU32| usize::try_from(number.get()).unwrap_or(usize::MAX);
        if let Some(associations) = self.max_associations {
            settings.max_associations = number(associations);
        }
        if let Some(associations) = self.max_associations_per_host {
            settings.of_one_host = Some(number(associations));
        }
        if let Some(window) = self.max_window {
            settings.max_window = window.get();
        }
        if let Some(stored) = self.sop_classes {
            settings.sop_classes = match stored {
                Stored::Any => SopClasses::Any,
                Stored::Standard => SopClasses::Standard,
            };
        }
        if let Some(seconds) = self.grace {
            settings.grace = Duration::from_secs(seconds.into());
        }
        if let Some(seconds) = self.report_pause {
            settings.reports.pause = Duration::from_secs(seconds.get().into());
        }
        if let Some(tries) = self.report_tries {
            settings.reports.tries = tries.get();
        }
    }
}
