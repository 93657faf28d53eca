//! The controller against peers that are a formula: so many instances a second with so many associations.

use super::*;

/// A peer and a line.
struct Line {
    round_trip: Duration,
    window: u16,
    /// Instances a second with so many associations.
    rate: fn(usize) -> f64,
    /// Associations beyond are not answered.
    serves: usize,
    bytes: u64,
}

/// Lets it run until all has come, or for ten minutes. Answers each advice, and the seconds it took.
fn run(line: &Line, controller: &mut Controller, instances: u64) -> (Vec<Advice>, f64) {
    let step = Duration::from_millis(50);
    let first = controller.begin(instances as usize);
    let (mut serving, mut opening) = (first.associations.min(line.serves), 0);
    let mut opened_at = Duration::ZERO;
    let (mut now, mut came) = (Duration::ZERO, 0.0);
    let mut said = vec![first];
    while came < instances as f64 && now < Duration::from_secs(600) {
        now += step;
        came += (line.rate)(serving) * step.as_secs_f64();
        if opening > 0 && now - opened_at >= 2 * line.round_trip {
            let more = opening.min(line.serves - serving);
            (serving, opening) = (serving + more, opening - more);
        }
        let sight = Sight {
            now,
            instances: came as u64,
            bytes: came as u64 * line.bytes,
            left: instances.saturating_sub(came as u64),
            serving,
            opening,
            round_trip: line.round_trip,
            window: line.window,
        };
        if let Some(advice) = controller.look(&sight) {
            opening = advice.associations.saturating_sub(serving);
            serving = serving.min(advice.associations);
            opened_at = now;
            said.push(advice);
        }
    }
    (said, now.as_secs_f64())
}

fn counts(said: &[Advice]) -> Vec<usize> {
    said.iter().map(|advice| advice.associations).collect()
}

const FAR: Line = Line {
    round_trip: Duration::from_millis(50),
    window: 1,
    // Some 56 ms an instance of 525 KB, and a line of 1 Gbit/s for all of them.
    rate: |associations| (associations as f64 * 17.8).min(232.0),
    serves: usize::MAX,
    bytes: 537_600,
};

#[test]
fn over_distance_without_a_window_there_are_soon_as_many_as_fill_the_line() {
    let mut controller = Controller::new(None);
    let (said, seconds) = run(&FAR, &mut controller, 500);
    assert_eq!(counts(&said)[..2], [1, 16], "{said:?}");
    assert!(!controller.is_growing(), "16 are the most");
    // One association takes 28 s, and the line alone 2.2.
    assert!(seconds < 3.5, "{seconds} s: {said:?}");
}

#[test]
fn of_those_that_were_tried_at_once_there_stay_as_many_as_are_of_use() {
    let line = Line { rate: |associations| (associations as f64 * 17.8).min(68.0), ..FAR };
    let (said, _) = run(&line, &mut Controller::new(None), 2000);
    assert_eq!(counts(&said)[..3], [1, 16, 7], "{said:?}");
    assert_eq!(said[2].reason, Reason::Enough { tried: 16, times: 3 });
}

#[test]
fn one_association_is_enough_when_the_window_covers_the_line() {
    let line = Line { window: 16, rate: |_| 220.0, ..FAR };
    let (said, _) = run(&line, &mut Controller::new(None), 5000);
    assert_eq!(counts(&said), vec![1; said.len()]);
    assert_eq!(said[1].reason, Reason::Window(16));
}

#[test]
fn a_window_that_small_instances_leave_half_empty_gets_company() {
    let line = Line {
        round_trip: Duration::from_millis(150),
        window: 16,
        rate: |associations| 100.0 * associations as f64,
        bytes: 3000,
        ..FAR
    };
    let (said, _) = run(&line, &mut Controller::new(None), 20_000);
    assert_eq!(said.last().unwrap().associations, MOST);
}

#[test]
fn a_short_study_from_a_peer_nearby_is_left_on_one() {
    let line = Line { round_trip: Duration::from_millis(1), rate: |_| 1000.0, ..FAR };
    let (said, _) = run(&line, &mut Controller::new(None), 500);
    assert_eq!(counts(&said), [1]);
}

#[test]
fn more_that_bring_too_little_go_again() {
    let rate = |associations| if associations == 1 { 1000.0 } else { 1100.0 };
    let line = Line { round_trip: Duration::from_millis(1), rate, ..FAR };
    let (said, _) = run(&line, &mut Controller::new(None), 20_000);
    assert_eq!(counts(&said), [1, 2, 1]);
    assert!(matches!(said[2].reason, Reason::NoGain { tried: 2, percent: 8..=12 }), "{said:?}");
}

#[test]
fn a_peer_that_leaves_the_fifth_without_an_answer_gets_four() {
    let line = Line { serves: 4, ..FAR };
    let mut controller = Controller::new(None);
    let (said, _) = run(&line, &mut controller, 1000);
    assert_eq!(counts(&said), [1, 16, 4]);
    assert_eq!(said[2].reason, Reason::Unserved);
    assert_eq!((controller.most(), controller.worth()), (Some(4), 4));
    // The next run knows.
    let mut next = Controller::new(None);
    next.remember(controller.most(), Some(controller.worth()));
    let (said, _) = run(&line, &mut next, 1000);
    assert_eq!(counts(&said), [4, 4]);
    assert_eq!((said[0].reason.clone(), said[1].reason.clone()), (Reason::Remembered, Reason::Most));
}

#[test]
fn a_rejection_is_the_end_of_opening() {
    let mut controller = Controller::new(None);
    let sight = Sight { serving: 1, window: 1, round_trip: FAR.round_trip, left: 500, ..Sight::default() };
    assert_eq!(controller.look(&sight), None);
    let later = Sight { now: Duration::from_secs(1), instances: 18, bytes: 18 * FAR.bytes, ..sight };
    assert_eq!(controller.look(&later).unwrap().associations, MOST);
    let advice = controller.rejected(later.now, 2, false);
    assert_eq!(advice, Advice { associations: 2, reason: Reason::Rejected });
    assert_eq!(controller.begin(500).associations, 2);
}

#[test]
fn a_peer_that_becomes_slower_is_left_half_of_them() {
    let mut controller = Controller::new(None);
    controller.remember(Some(8), Some(8));
    let mut sight =
        Sight { serving: 8, window: 1, round_trip: FAR.round_trip, left: 1_000_000, ..Sight::default() };
    let mut said = Vec::new();
    for second in 1..=20 {
        sight.now = Duration::from_secs(second);
        sight.instances += if second <= 10 { 140 } else { 40 };
        sight.bytes = sight.instances * FAR.bytes;
        if let Some(advice) = controller.look(&sight) {
            sight.serving = advice.associations;
            said.push(advice);
        }
    }
    assert_eq!(counts(&said), [8, 4], "{said:?}");
    assert_eq!(said[1].reason, Reason::Slower);
}

#[test]
fn after_a_while_more_are_tried_again() {
    let rate = |associations| if associations == 1 { 20.0 } else { 21.0 };
    let (said, _) = run(&Line { rate, ..FAR }, &mut Controller::new(None), 10_000);
    let tries = said.iter().filter(|advice| advice.reason == Reason::Trying).count();
    assert!((4..=10).contains(&tries), "{tries} in 500 s: {said:?}");
}

#[test]
fn what_the_user_says_stays() {
    let mut controller = Controller::new(Some(3));
    controller.remember(Some(1), Some(8));
    assert_eq!(controller.begin(100), Advice { associations: 3, reason: Reason::Asked });
    assert_eq!(controller.begin(2).associations, 2);
    let (said, _) = run(&FAR, &mut controller, 200);
    assert_eq!(counts(&said), [3]);
}

#[test]
fn a_rejection_that_may_pass_is_tried_again_after_a_while_and_told_to_no_later_run() {
    for (is_transient, most, again) in [(true, None, true), (false, Some(2), false)] {
        let mut controller = Controller::new(None);
        controller.remember(None, Some(2));
        let advice = controller.rejected(Duration::ZERO, 2, is_transient);
        assert_eq!((advice.associations, controller.most()), (2, most));
        // Two associations of 18 instances a second each, for two minutes.
        let mut sight =
            Sight { serving: 2, window: 1, round_trip: FAR.round_trip, left: 100_000, ..Sight::default() };
        let mut said = Vec::new();
        for second in 1..=120 {
            sight.now = Duration::from_secs(second);
            sight.instances += 18 * sight.serving as u64;
            sight.bytes = sight.instances * FAR.bytes;
            if let Some(advice) = controller.look(&sight) {
                said.push((second, advice));
            }
        }
        let first_try = said.iter().find(|(_, advice)| advice.associations > 2).map(|(second, _)| *second);
        assert_eq!(first_try.is_some(), again, "{said:?}");
        assert!(first_try.is_none_or(|second| second >= SETTLED_FOR.as_secs()), "{said:?}");
    }
}

#[test]
fn shares_are_whole_where_they_may_be_and_small_where_several_share() {
    let (near, far) = (Duration::from_millis(1), Duration::from_millis(50));
    assert_eq!(share(far, 0, (1, false), 5000, None), Share::ALL);
    assert_eq!(share(near, 16, (1, false), 5000, None), Share::ALL);
    for associations in [1, 4] {
        assert!(
            !share(near, 1, (associations, false), 5000, None).cuts_series,
            "series come whole from nearby"
        );
    }
    assert_eq!(share(far, 1, (1, false), 500, None), Share::of(32));
    assert_eq!(share(far, 1, (1, true), 500, None), Share::of(8), "while it is open how many there will be");
    assert_eq!(share(far, 1, (8, false), 160, None), Share::of(10));
    assert_eq!(share(far, 1, (16, false), 20, None), Share::of(8));
}

#[test]
fn requests_that_cost_much_are_for_more() {
    let far = Duration::from_millis(20);
    let costs = |request_ms, instance_ms| {
        let [request, instance] = [request_ms, instance_ms].map(Duration::from_millis);
        Some(Costs { request, instance })
    };
    assert_eq!(share(far, 1, (1, false), 5000, costs(40, 20)), Share::of(32), "18 would be enough");
    assert_eq!(share(far, 1, (1, false), 5000, costs(200, 20)), Share::of(90), "200 ms are a tenth of 2 s");
    assert_eq!(share(far, 1, (4, false), 5000, costs(200, 20)), Share::of(90));
    assert_eq!(
        share(far, 1, (4, false), 160, costs(200, 20)),
        Share::of(20),
        "each of the others has its part"
    );
    assert!(share(far, 1, (1, false), 5000, costs(200, 0)).instances > 5000, "no time at all is no fault");
}
