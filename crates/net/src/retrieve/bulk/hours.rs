//! The hours in which a bulk retrieve may be at work, such as `20:00-06:00`, by the local time of day.
//!
//! A span that ends before it begins goes over midnight; its end does not belong to it. Several are joined by commas.
//! What time it is comes from a [`Clock`], so that a test has its own.

use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use chrono::{NaiveDateTime, NaiveTime, TimeDelta, Timelike};

const MINUTES_A_DAY: u32 = 24 * 60;

/// The longest sleep before the clock is read anew: it may be set, by hand or for the summer, and a machine may have
/// been asleep itself.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Spans of the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours(Vec<Span>);

/// Minutes since midnight: the first that belongs to it, and the first that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: u32,
    to: u32,
}

/// Why a text names no hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// Not of the form.
    #[error("'{0}' is no span of hours such as 20:00-06:00")]
    Form(String),
    /// It begins when it ends.
    #[error("'{0}' begins when it ends: leave it out for the whole day")]
    Empty(String),
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Hours, HoursError> {
        text.split(',').map(|span| span.trim().parse()).collect::<Result<_, _>>().map(Hours)
    }
}

impl FromStr for Span {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Span, HoursError> {
        let (from, to) = text
            .split_once('-')
            .and_then(|(from, to)| Some((minute(from)?, minute(to)?)))
            .filter(|(from, _)| *from < MINUTES_A_DAY)
            .ok_or_else(|| HoursError::Form(text.to_owned()))?;
        if from == to {
            return Err(HoursError::Empty(text.to_owned()));
        }
        Ok(Span { from, to })
    }
}

/// `20:00` in minutes; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| match text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u32>().ok(),
        false => None,
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= MINUTES_A_DAY).then_some(total)
}

impl Span {
    fn contains(self, minute: u32) -> bool {
        match self.from < self.to {
            true => (self.from..self.to).contains(&minute),
            false => minute >= self.from || minute < self.to,
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Span { from, to }) in self.0.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(f, "{comma}{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        }
        Ok(())
    }
}

impl Hours {
    /// Whether it is time to be at work.
    pub fn is_open(&self, time: NaiveTime) -> bool {
        let minute = time.hour() * 60 + time.minute();
        self.0.iter().any(|span| span.contains(minute))
    }

    /// The next time at which [`Hours::is_open`] changes; none when it never does.
    pub fn next_change(&self, now: NaiveDateTime) -> Option<NaiveDateTime> {
        let is_open = self.is_open(now.time());
        let this_minute = now.with_second(0)?.with_nanosecond(0)?;
        (1..=MINUTES_A_DAY)
            .map(|minutes| this_minute + TimeDelta::minutes(minutes.into()))
            .find(|time| self.is_open(time.time()) != is_open)
    }
}

/// What time it is where we are.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The local date and time of day.
    fn now(&self) -> NaiveDateTime;

    /// Waits so long by this clock, or less.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// The clock of the system, in its time zone.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> NaiveDateTime {
        chrono::Local::now().naive_local()
    }
}

/// Waits until the hours are open, or closed.
pub(super) async fn wait_until(hours: &Hours, clock: &dyn Clock, open: bool) {
    loop {
        let now = clock.now();
        if hours.is_open(now.time()) == open {
            return;
        }
        let left = hours.next_change(now).and_then(|change| (change - now).to_std().ok());
        clock.sleep(left.unwrap_or(LOOK_AGAIN).clamp(Duration::from_millis(1), LOOK_AGAIN)).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    fn at(text: &str) -> NaiveDateTime {
        format!("2026-03-28T{text}").parse().unwrap()
    }

    #[test]
    fn a_span_may_go_over_midnight_and_its_end_is_not_in_it() {
        let night = hours("20:00-06:00");
        for (time, is_open) in [
            ("20:00:00", true),
            ("23:59:59", true),
            ("00:00:00", true),
            ("05:59:59", true),
            ("06:00:00", false),
            ("19:59:59", false),
        ] {
            assert_eq!(night.is_open(at(time).time()), is_open, "{time}");
        }
        let two = hours("12:00-13:00, 18:30-24:00");
        assert!(two.is_open(at("12:30:00").time()) && two.is_open(at("23:59:00").time()));
        assert!(!two.is_open(at("13:00:00").time()) && !two.is_open(at("00:00:00").time()));
        assert_eq!(two.to_string(), "12:00-13:00,18:30-24:00");
    }

    #[test]
    fn the_next_change_is_told_to_the_minute() {
        let night = hours("20:00-06:00");
        assert_eq!(night.next_change(at("19:30:10")), Some(at("20:00:00")));
        assert_eq!(night.next_change(at("20:00:00")).unwrap().to_string(), "2026-03-29 06:00:00");
        assert_eq!(hours("00:00-24:00").next_change(at("12:00:00")), None);
        assert_eq!(hours("00:00-12:00,12:00-18:00").next_change(at("08:00:00")), Some(at("18:00:00")));
    }

    #[test]
    fn what_names_no_hours_is_told_with_an_example() {
        for text in ["", "20-06", "20:00", "20:00-6:00", "25:00-06:00", "20:60-21:00", "24:00-06:00", "a-b"] {
            assert!(text.parse::<Hours>().unwrap_err().to_string().contains("20:00-06:00"), "{text}");
        }
        assert!("08:00-08:00".parse::<Hours>().unwrap_err().to_string().contains("leave it out"));
    }

    #[derive(Debug)]
    struct Set(NaiveDateTime, tokio::time::Instant);

    impl Clock for Set {
        fn now(&self) -> NaiveDateTime {
            self.0 + TimeDelta::from_std(self.1.elapsed()).unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_ends_when_the_hours_begin_and_when_they_end() {
        let clock = Set(at("17:00:30"), tokio::time::Instant::now());
        let night = hours("20:00-06:00");
        wait_until(&night, &clock, false).await;
        assert_eq!(clock.now(), at("17:00:30"), "it is closed now");
        wait_until(&night, &clock, true).await;
        assert_eq!(clock.now().format("%H:%M:%S").to_string(), "20:00:00");
        wait_until(&night, &clock, false).await;
        assert_eq!(clock.now().format("%H:%M:%S").to_string(), "06:00:00");
    }
}
