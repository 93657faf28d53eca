//! When the frames of an image are (PS3.3 C.7.6.5.1), and what tells it once frames are taken out: PS3.4 Y.3.3 asks for
//! a new instance that is consistent in itself.
//!
//! ```text
//! Content Time     frame 1         2         3         4
//!      |--------------|------------|---------|---------|
//!        Frame Delay    Frame Time, or an increment a frame
//! ```
//!
//! Content Time stays. So Frame Delay is the time of the first frame that is taken, and the rest goes on from there.

use std::collections::BTreeMap;

use dicomet_proto::dataset::{Tag, VR};

use super::decimals::{decimal_strings, decimals, rounded};
use super::encode::Edits;

const EFFECTIVE_DURATION: Tag = Tag(0x0018, 0x0072);
const FRAME_TIME: Tag = Tag(0x0018, 0x1063);
const FRAME_TIME_VECTOR: Tag = Tag(0x0018, 0x1065);
const FRAME_DELAY: Tag = Tag(0x0018, 0x1066);
const IMAGE_TRIGGER_DELAY: Tag = Tag(0x0018, 0x1067);
const R_WAVE_TIME_VECTOR: Tag = Tag(0x0018, 0x6060);
const FRAME_INCREMENT_POINTER: Tag = Tag(0x0028, 0x0009);

/// Whether the value of an attribute on top is needed here.
pub(super) fn tells_times(tag: Tag) -> bool {
    [FRAME_TIME, FRAME_TIME_VECTOR, FRAME_DELAY, IMAGE_TRIGGER_DELAY, FRAME_INCREMENT_POINTER].contains(&tag)
}

/// When each frame is, in milliseconds.
pub(super) struct Times {
    /// Frame Delay; none is one of 0.
    delay: f64,
    /// From there on.
    delayed: Vec<f64>,
    /// The attribute that they come from: Frame Time or Frame Time Vector.
    told_by: Tag,
}

impl Times {
    /// The times as the one attribute tells them that Frame Increment Pointer points to; where that does not decide,
    /// as the vector does, which is real where Frame Time is nominal. `None` when neither tells any.
    pub(super) fn of(values: &BTreeMap<Tag, Vec<u8>>, frames: u32) -> Option<Times> {
        let pointed = pointed(values);
        let times = if pointed.contains(&FRAME_TIME) && !pointed.contains(&FRAME_TIME_VECTOR) {
            Times::of_frame_time(values, frames).or_else(|| Times::of_vector(values, frames))
        } else {
            Times::of_vector(values, frames).or_else(|| Times::of_frame_time(values, frames))
        };
        times.filter(|times| times.delayed.iter().all(|time| (times.delay + time).is_finite()))
    }

    fn of_frame_time(values: &BTreeMap<Tag, Vec<u8>>, frames: u32) -> Option<Times> {
        let step = decimals(values, FRAME_TIME)?.first().copied()?;
        let delayed = (0..frames).map(|frame| f64::from(frame) * step).collect();
        Some(Times { delay: delay(values), delayed, told_by: FRAME_TIME })
    }

    fn of_vector(values: &BTreeMap<Tag, Vec<u8>>, frames: u32) -> Option<Times> {
        let increments = decimals(values, FRAME_TIME_VECTOR)?;
        let mut time = 0.0;
        let mut sum = |increment: f64| {
            time += increment;
            time
        };
        let delayed: Vec<f64> = increments.into_iter().map(&mut sum).collect();
        let is_whole = delayed.len() == frames as usize;
        is_whole.then(|| Times { delay: delay(values), delayed, told_by: FRAME_TIME_VECTOR })
    }

    /// The numbers of the frames between two times, in seconds from Content Time, and at them.
    pub(super) fn within(&self, [from, to]: [f64; 2]) -> Vec<u32> {
        let range = rounded(from)..=rounded(to);
        let is_within = |time: &f64| range.contains(&rounded((self.delay + time) / 1000.0));
        (1..).zip(&self.delayed).filter(|(_, time)| is_within(time)).map(|(number, _)| number).collect()
    }
}

/// Tells when the frames with these numbers are, which rise: one at least, and none beyond the last.
pub(super) fn describe(values: &BTreeMap<Tag, Vec<u8>>, frames: u32, numbers: &[u32], edits: &mut Edits) {
    if numbers.len() < frames as usize {
        edits.remove(EFFECTIVE_DURATION);
    }
    let is_first = numbers.first() == Some(&1);
    if !is_first {
        // It counts from the first frame or from Content Time: nothing in the instance tells which.
        edits.remove(R_WAVE_TIME_VECTOR);
    }
    match Times::of(values, frames) {
        Some(times) => {
            let taken: Vec<f64> = numbers.iter().map(|number| times.delayed[*number as usize - 1]).collect();
            delay_first(values, &times, taken[0], edits);
            let now = increase(&taken, times.told_by, edits);
            point_to(values, times.told_by, now, edits);
        }
        None if !is_first => {
            edits.remove(FRAME_DELAY);
            edits.remove(IMAGE_TRIGGER_DELAY);
        }
        None => {}
    }
}

/// Frame Delay and Image Trigger Delay, of an image that begins with the frame that was so long after the delay.
fn delay_first(values: &BTreeMap<Tag, Vec<u8>>, times: &Times, first: f64, edits: &mut Edits) {
    if first != 0.0 {
        edits.set(FRAME_DELAY, VR::DS, decimal_strings(&[times.delay + first]));
    }
    let later = first - times.delayed[0];
    match decimals(values, IMAGE_TRIGGER_DELAY).as_deref() {
        Some([delay]) if later != 0.0 => {
            edits.set(IMAGE_TRIGGER_DELAY, VR::DS, decimal_strings(&[delay + later]));
        }
        None if later != 0.0 => edits.remove(IMAGE_TRIGGER_DELAY),
        _ => {}
    }
}

/// Frame Time where that told the times and the frames are as far apart from one another, else Frame Time Vector; the
/// other one goes. Answers which it is.
fn increase(times: &[f64], told_by: Tag, edits: &mut Edits) -> Tag {
    let mut increments = vec![0.0];
    increments.extend(times.windows(2).map(|two| rounded(two[1] - two[0])));
    let first = increments.get(1).copied();
    if told_by == FRAME_TIME && increments.iter().skip(1).all(|step| Some(*step) == first) {
        // That of a single frame is the nominal one.
        if let Some(step) = first {
            edits.set(FRAME_TIME, VR::DS, decimal_strings(&[step]));
        }
        edits.remove(FRAME_TIME_VECTOR);
        return FRAME_TIME;
    }
    edits.remove(FRAME_TIME);
    edits.set(FRAME_TIME_VECTOR, VR::DS, decimal_strings(&increments));
    FRAME_TIME_VECTOR
}

/// Lets Frame Increment Pointer point to what tells the times now. It may point to something else besides, or alone.
fn point_to(values: &BTreeMap<Tag, Vec<u8>>, told_by: Tag, now: Tag, edits: &mut Edits) {
    let before = pointed(values);
    let is_time = |tag: &Tag| [FRAME_TIME, FRAME_TIME_VECTOR].contains(tag);
    let mut after: Vec<Tag> = before.iter().map(|tag| if is_time(tag) { now } else { *tag }).collect();
    after.dedup();
    if after.is_empty() && now != told_by {
        after.push(now);
    }
    if after != before {
        let bytes = |Tag(group, element): &Tag| [group.to_le_bytes(), element.to_le_bytes()].concat();
        edits.set(FRAME_INCREMENT_POINTER, VR::AT, after.iter().flat_map(bytes).collect());
    }
}

fn delay(values: &BTreeMap<Tag, Vec<u8>>) -> f64 {
    decimals(values, FRAME_DELAY).and_then(|delay| delay.first().copied()).unwrap_or(0.0)
}

/// What Frame Increment Pointer points to.
fn pointed(values: &BTreeMap<Tag, Vec<u8>>) -> Vec<Tag> {
    let bytes = values.get(&FRAME_INCREMENT_POINTER).map(Vec::as_slice).unwrap_or_default();
    let tag =
        |four: &[u8]| Tag(u16::from_le_bytes([four[0], four[1]]), u16::from_le_bytes([four[2], four[3]]));
    bytes.chunks_exact(4).map(tag).collect()
}

#[cfg(test)]
mod tests {
    use dicomet_proto::dataset::DataSet;

    use super::super::FrameList;
    use super::super::tests::{six_frames, taken};
    use super::*;

    type Attribute<'a> = (u16, u16, &'a [u8; 2], &'a [u8]);

    const POINTS_TO_TIME: Attribute = (0x0028, 0x0009, b"AT", &[0x18, 0, 0x63, 0x10]);
    const POINTS_TO_VECTOR: Attribute = (0x0028, 0x0009, b"AT", &[0x18, 0, 0x65, 0x10]);
    const TIME: Attribute = (0x0018, 0x1063, b"DS", b"40");
    const VECTOR: Attribute = (0x0018, 0x1065, b"DS", b"0\\10\\10\\20\\10\\10 ");
    const DELAY: Attribute = (0x0018, 0x1066, b"DS", b"1000");

    fn cut(more: &[Attribute], frames: &[u32]) -> DataSet {
        taken(&six_frames(more), &FrameList::Simple(frames.to_vec()))
    }

    /// The frames in a range of time.
    fn between(more: &[Attribute], range: [f64; 2]) -> Vec<u32> {
        let values =
            more.iter().map(|(group, element, _, value)| (Tag(*group, *element), value.to_vec())).collect();
        Times::of(&values, 6).unwrap().within(range)
    }

    fn points_to(data_set: &DataSet) -> Vec<u8> {
        data_set.bytes(FRAME_INCREMENT_POINTER).unwrap()
    }

    #[test]
    fn frame_times_follow_the_frames_that_are_taken() {
        let bytes = six_frames(&[TIME, POINTS_TO_TIME]);
        let even = taken(&bytes, &FrameList::Calculated(vec![[1, 6, 2]]));
        assert_eq!(even.texts(FRAME_TIME), ["80"]);
        assert!(!even.contains(FRAME_DELAY));
        let in_time = taken(&bytes, &FrameList::Time([0.04, 0.081]));
        assert_eq!(in_time.bytes(Tag(0x7FE0, 0x0010)).unwrap()[..2], [2, 3]);
        let uneven = taken(&bytes, &FrameList::Simple(vec![1, 2, 5]));
        assert!(!uneven.contains(FRAME_TIME));
        assert_eq!(uneven.texts(FRAME_TIME_VECTOR), ["0", "40", "120"]);
        assert_eq!(points_to(&uneven), POINTS_TO_VECTOR.3);
    }

    #[test]
    fn a_time_range_counts_from_content_time() {
        assert_eq!(between(&[TIME, DELAY], [0.0, 0.999]), [0; 0]);
        assert_eq!(between(&[TIME, DELAY], [1.0, 1.0]), [1]);
        assert_eq!(between(&[TIME, DELAY], [1.04, 1.08]), [2, 3]);
        assert_eq!(between(&[VECTOR, DELAY], [1.02, 1.04]), [3, 4]);
        assert_eq!(between(&[TIME], [0.0, 0.04]), [1, 2]);
        // 3 * 33.33, which is not quite 99.99.
        assert_eq!(between(&[(0x0018, 0x1063, b"DS", b"33.33 ")], [0.09999, 0.13332]), [4, 5]);
    }

    #[test]
    fn the_delay_is_that_of_the_first_frame_that_is_taken() {
        let trigger = (0x0018, 0x1067, b"DS", &b"250 "[..]);
        let later = cut(&[TIME, DELAY, trigger, POINTS_TO_TIME], &[3, 4]);
        assert_eq!(
            (later.texts(FRAME_DELAY), later.texts(FRAME_TIME)),
            (vec!["1080".into()], vec!["40".into()])
        );
        assert_eq!(later.texts(IMAGE_TRIGGER_DELAY), ["330"]);
        let vector = cut(&[VECTOR, DELAY, POINTS_TO_VECTOR], &[3, 4, 6]);
        assert_eq!(vector.texts(FRAME_DELAY), ["1020"]);
        assert_eq!(vector.texts(FRAME_TIME_VECTOR), ["0", "20", "20"]);
        // None so far: Content Time is that of the first frame.
        assert_eq!(cut(&[TIME], &[2, 3]).texts(FRAME_DELAY), ["40"]);
        assert_eq!(cut(&[TIME, DELAY, trigger], &[1, 2]).texts(FRAME_DELAY), ["1000"]);
        assert_eq!(cut(&[TIME, DELAY, trigger], &[1, 2]).texts(IMAGE_TRIGGER_DELAY), ["250"]);
        let nobody_knows = cut(&[DELAY, trigger], &[2, 3]);
        assert!(!nobody_knows.contains(FRAME_DELAY) && !nobody_knows.contains(IMAGE_TRIGGER_DELAY));
    }

    #[test]
    fn what_is_of_other_frames_or_counts_from_another_goes() {
        let waves = (0x0018, 0x6060, b"FL", &[0, 0, 0xA0, 0x40][..]);
        let duration = (0x0018, 0x0072, b"DS", &b"0.24"[..]);
        let all = cut(&[TIME, waves, duration], &[1, 2, 3, 4, 5, 6]);
        assert!(all.contains(R_WAVE_TIME_VECTOR) && all.contains(EFFECTIVE_DURATION));
        let first = cut(&[TIME, waves, duration], &[1, 2]);
        assert!(first.contains(R_WAVE_TIME_VECTOR) && !first.contains(EFFECTIVE_DURATION));
        assert!(!cut(&[TIME, waves, duration], &[2, 3]).contains(R_WAVE_TIME_VECTOR));
    }

    #[test]
    fn the_pointer_says_which_of_time_and_vector_holds_and_points_to_what_is_left() {
        assert_eq!(between(&[TIME, VECTOR, POINTS_TO_TIME], [0.08, 0.08]), [3]);
        assert_eq!(between(&[TIME, VECTOR, POINTS_TO_VECTOR], [0.02, 0.02]), [3]);
        assert_eq!(between(&[TIME, VECTOR], [0.02, 0.02]), [3]);
        let time = cut(&[TIME, VECTOR, POINTS_TO_TIME], &[1, 3]);
        assert_eq!(time.texts(FRAME_TIME), ["80"]);
        assert!(!time.contains(FRAME_TIME_VECTOR));
        assert_eq!(points_to(&time), POINTS_TO_TIME.3);
        let uneven = cut(&[TIME, VECTOR, POINTS_TO_TIME], &[1, 2, 4]);
        assert_eq!(uneven.texts(FRAME_TIME_VECTOR), ["0", "40", "80"]);
        assert!(!uneven.contains(FRAME_TIME));
        assert_eq!(points_to(&uneven), POINTS_TO_VECTOR.3);
        let vector = cut(&[TIME, VECTOR, POINTS_TO_VECTOR], &[1, 3]);
        assert_eq!(vector.texts(FRAME_TIME_VECTOR), ["0", "20"]);
        assert!(!vector.contains(FRAME_TIME));
        assert_eq!(points_to(&vector), POINTS_TO_VECTOR.3);
    }

    #[test]
    fn a_pointer_to_what_is_not_there_or_to_something_else() {
        assert_eq!(points_to(&cut(&[VECTOR, POINTS_TO_TIME], &[1, 3])), POINTS_TO_VECTOR.3);
        let (slice, both) = ([0x18, 0, 0x01, 0x20], [0x18, 0, 0x01, 0x20, 0x18, 0, 0x63, 0x10]);
        let elsewhere = cut(&[TIME, (0x0028, 0x0009, b"AT", &slice)], &[1, 2, 4]);
        assert_eq!(points_to(&elsewhere), slice);
        let besides = cut(&[TIME, (0x0028, 0x0009, b"AT", &both)], &[1, 2, 4]);
        assert_eq!(points_to(&besides), [&slice[..], POINTS_TO_VECTOR.3].concat());
        assert_eq!(points_to(&cut(&[TIME], &[1, 2, 4])), POINTS_TO_VECTOR.3);
    }
}
