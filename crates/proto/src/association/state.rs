//! The state machine of PS3.8 9.2 as its tables: states (9-1 to 9-5), events and transitions (9-10), actions (9-6
//! to 9-9). What an action does stands in the parent module; here is when, and which state follows.
//!
//! ```text
//!              requestor                    acceptor
//!  Sta1 idle ── AE-1 ── Sta4 ── AE-2 ── Sta5   Sta1 ── AE-5 ── Sta2 ── AE-6 ── Sta3
//!                                  AE-3 │                             AE-7 │   AE-8 (and AE-6) to Sta13
//!                                       └────────── Sta6 data ─────────────┘
//!   we release: AR-1 ── Sta7 ── AR-3 ── Sta1     they release: AR-2 ── Sta8 ── AR-4 ── Sta13 ── AR-5 ── Sta1
//!   both at once: AR-8 ── Sta9 ── AR-9 ── Sta11 ── AR-3     and     Sta10 ── AR-10 ── Sta12 ── AR-4
//! ```

use Action::{
    Aa1, Aa2, Aa3, Aa4, Aa5, Aa6, Aa7, Aa8, Ae1, Ae2, Ae3, Ae4, Ae5, Ae6, Ae7, Ae8, Ar1, Ar2, Ar3, Ar4, Ar5,
    Ar6, Ar7, Ar8, Ar9, Ar10, Dt1, Dt2,
};

/// States, PS3.8 Tables 9-1 to 9-5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Idle: no association, and no transport.
    Sta1,
    /// Transport open; awaiting A-ASSOCIATE-RQ.
    Sta2,
    /// Awaiting the local A-ASSOCIATE response.
    Sta3,
    /// Awaiting the transport to open.
    Sta4,
    /// Awaiting A-ASSOCIATE-AC or -RJ.
    Sta5,
    /// Established: ready for data.
    Sta6,
    /// Awaiting A-RELEASE-RP.
    Sta7,
    /// Awaiting the local A-RELEASE response.
    Sta8,
    /// Release collision, requestor: awaiting the local A-RELEASE response.
    Sta9,
    /// Release collision, acceptor: awaiting A-RELEASE-RP.
    Sta10,
    /// Release collision, requestor: awaiting A-RELEASE-RP.
    Sta11,
    /// Release collision, acceptor: awaiting the local A-RELEASE response.
    Sta12,
    /// Awaiting the transport to close.
    Sta13,
}

/// Events, the rows of PS3.8 Table 9-10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A-ASSOCIATE request (local).
    Evt1,
    /// Transport connection confirmed.
    Evt2,
    /// A-ASSOCIATE-AC received.
    Evt3,
    /// A-ASSOCIATE-RJ received.
    Evt4,
    /// Transport connection indication.
    Evt5,
    /// A-ASSOCIATE-RQ received.
    Evt6,
    /// A-ASSOCIATE response, accept (local).
    Evt7,
    /// A-ASSOCIATE response, reject (local).
    Evt8,
    /// P-DATA request (local).
    Evt9,
    /// P-DATA-TF received.
    Evt10,
    /// A-RELEASE request (local).
    Evt11,
    /// A-RELEASE-RQ received.
    Evt12,
    /// A-RELEASE-RP received.
    Evt13,
    /// A-RELEASE response (local).
    Evt14,
    /// A-ABORT request (local).
    Evt15,
    /// A-ABORT received.
    Evt16,
    /// Transport connection closed.
    Evt17,
    /// ARTIM expired.
    Evt18,
    /// Unrecognized or invalid PDU received.
    Evt19,
}

/// Actions, PS3.8 Tables 9-6 to 9-9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Open the transport.
    Ae1,
    /// Send A-ASSOCIATE-RQ.
    Ae2,
    /// A-ASSOCIATE confirmation, accept.
    Ae3,
    /// A-ASSOCIATE confirmation, reject; close the transport.
    Ae4,
    /// Transport connection response; start ARTIM.
    Ae5,
    /// Stop ARTIM; A-ASSOCIATE indication, or, when unacceptable, A-ASSOCIATE-RJ and ARTIM.
    Ae6,
    /// Send A-ASSOCIATE-AC.
    Ae7,
    /// Send A-ASSOCIATE-RJ; start ARTIM.
    Ae8,
    /// Send P-DATA-TF.
    Dt1,
    /// P-DATA indication.
    Dt2,
    /// Send A-RELEASE-RQ.
    Ar1,
    /// A-RELEASE indication.
    Ar2,
    /// A-RELEASE confirmation; close the transport.
    Ar3,
    /// Send A-RELEASE-RP; start ARTIM.
    Ar4,
    /// Stop ARTIM.
    Ar5,
    /// P-DATA indication.
    Ar6,
    /// Send P-DATA-TF.
    Ar7,
    /// A-RELEASE indication, release collision.
    Ar8,
    /// Send A-RELEASE-RP.
    Ar9,
    /// A-RELEASE confirmation.
    Ar10,
    /// Send A-ABORT (source: service user); start ARTIM.
    Aa1,
    /// Stop ARTIM; close the transport.
    Aa2,
    /// A-ABORT or A-P-ABORT indication; close the transport.
    Aa3,
    /// A-P-ABORT indication.
    Aa4,
    /// Stop ARTIM.
    Aa5,
    /// Ignore the PDU.
    Aa6,
    /// Send A-ABORT.
    Aa7,
    /// Send A-ABORT (source: service provider); A-P-ABORT indication; start ARTIM.
    Aa8,
}

/// PS3.8 Table 9-10: a row an event, a column a state. `Ae1` is AE-1; `None` cannot happen.
#[rustfmt::skip]
const TABLE: [[Option<Action>; 13]; 19] = {
    const fn a(action: Action) -> Option<Action> { Some(action) }
    const O: Option<Action> = None;
    [
        //           Sta1     Sta2     Sta3     Sta4     Sta5     Sta6     Sta7     Sta8     Sta9     Sta10    Sta11    Sta12    Sta13
        /* Evt1  */ [a(Ae1),  O,       O,       O,       O,       O,       O,       O,       O,       O,       O,       O,       O      ],
        /* Evt2  */ [O,       O,       O,       a(Ae2),  O,       O,       O,       O,       O,       O,       O,       O,       O      ],
        /* Evt3  */ [O,       a(Aa1),  a(Aa8),  O,       a(Ae3),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa6) ],
        /* Evt4  */ [O,       a(Aa1),  a(Aa8),  O,       a(Ae4),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa6) ],
        /* Evt5  */ [a(Ae5),  O,       O,       O,       O,       O,       O,       O,       O,       O,       O,       O,       O      ],
        /* Evt6  */ [O,       a(Ae6),  a(Aa8),  O,       a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa7) ],
        /* Evt7  */ [O,       O,       a(Ae7),  O,       O,       O,       O,       O,       O,       O,       O,       O,       O      ],
        /* Evt8  */ [O,       O,       a(Ae8),  O,       O,       O,       O,       O,       O,       O,       O,       O,       O      ],
        /* Evt9  */ [O,       O,       O,       O,       O,       a(Dt1),  O,       a(Ar7),  O,       O,       O,       O,       O      ],
        /* Evt10 */ [O,       a(Aa1),  a(Aa8),  O,       a(Aa8),  a(Dt2),  a(Ar6),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa6) ],
        /* Evt11 */ [O,       O,       O,       O,       O,       a(Ar1),  O,       O,       O,       O,       O,       O,       O      ],
        /* Evt12 */ [O,       a(Aa1),  a(Aa8),  O,       a(Aa8),  a(Ar2),  a(Ar8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa6) ],
        /* Evt13 */ [O,       a(Aa1),  a(Aa8),  O,       a(Aa8),  a(Aa8),  a(Ar3),  a(Aa8),  a(Aa8),  a(Ar10), a(Ar3),  a(Aa8),  a(Aa6) ],
        /* Evt14 */ [O,       O,       O,       O,       O,       O,       O,       a(Ar4),  a(Ar9),  O,       O,       a(Ar4),  O      ],
        /* Evt15 */ [O,       O,       a(Aa1),  a(Aa2),  a(Aa1),  a(Aa1),  a(Aa1),  a(Aa1),  a(Aa1),  a(Aa1),  a(Aa1),  a(Aa1),  O      ],
        /* Evt16 */ [O,       a(Aa2),  a(Aa3),  O,       a(Aa3),  a(Aa3),  a(Aa3),  a(Aa3),  a(Aa3),  a(Aa3),  a(Aa3),  a(Aa3),  a(Aa2) ],
        /* Evt17 */ [O,       a(Aa5),  a(Aa4),  a(Aa4),  a(Aa4),  a(Aa4),  a(Aa4),  a(Aa4),  a(Aa4),  a(Aa4),  a(Aa4),  a(Aa4),  a(Ar5) ],
        /* Evt18 */ [O,       a(Aa2),  O,       O,       O,       O,       O,       O,       O,       O,       O,       O,       a(Aa2) ],
        /* Evt19 */ [O,       a(Aa1),  a(Aa8),  O,       a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa8),  a(Aa7) ],
    ]
};

/// What an event in a state makes happen; `None` when it cannot happen there.
pub(super) const fn action(state: State, event: Event) -> Option<Action> {
    TABLE[event as usize][state as usize]
}

/// Which side of the association we are: it decides where a release collision leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Association-requestor.
    Requestor,
    /// Association-acceptor.
    Acceptor,
}

impl Action {
    /// The state that follows, PS3.8 Tables 9-6 to 9-9. AE-6 for an acceptable request; one that is not is
    /// answered from Sta3.
    pub(super) const fn next_state(self, side: Side) -> State {
        match self {
            Ae1 => State::Sta4,
            Ae2 => State::Sta5,
            Ae3 | Ae7 | Dt1 | Dt2 => State::Sta6,
            Ae5 => State::Sta2,
            Ae6 => State::Sta3,
            Ar1 | Ar6 => State::Sta7,
            Ar2 | Ar7 => State::Sta8,
            Ar8 => match side {
                Side::Requestor => State::Sta9,
                Side::Acceptor => State::Sta10,
            },
            Ar9 => State::Sta11,
            Ar10 => State::Sta12,
            Ae8 | Ar4 | Aa1 | Aa6 | Aa7 | Aa8 => State::Sta13,
            Ae4 | Ar3 | Ar5 | Aa2 | Aa3 | Aa4 | Aa5 => State::Sta1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const STATES: [State; 13] = [
        State::Sta1, State::Sta2, State::Sta3, State::Sta4, State::Sta5, State::Sta6, State::Sta7,
        State::Sta8, State::Sta9, State::Sta10, State::Sta11, State::Sta12, State::Sta13,
    ];

    #[rustfmt::skip]
    const EVENTS: [Event; 19] = [
        Event::Evt1, Event::Evt2, Event::Evt3, Event::Evt4, Event::Evt5, Event::Evt6, Event::Evt7,
        Event::Evt8, Event::Evt9, Event::Evt10, Event::Evt11, Event::Evt12, Event::Evt13, Event::Evt14,
        Event::Evt15, Event::Evt16, Event::Evt17, Event::Evt18, Event::Evt19,
    ];

    /// PS3.8 Table 9-10, typed in the standard's own spelling: event, state, action. A second writing of the
    /// table, by event and then by ranges of states, so that a slip in either of them shows.
    const EXPECTED: &str = "
        Evt1  Sta1 AE-1
        Evt2  Sta4 AE-2
        Evt3  Sta2 AA-1 | Sta3 AA-8 | Sta5 AE-3 | Sta6-12 AA-8 | Sta13 AA-6
        Evt4  Sta2 AA-1 | Sta3 AA-8 | Sta5 AE-4 | Sta6-12 AA-8 | Sta13 AA-6
        Evt5  Sta1 AE-5
        Evt6  Sta2 AE-6 | Sta3 AA-8 | Sta5-12 AA-8 | Sta13 AA-7
        Evt7  Sta3 AE-7
        Evt8  Sta3 AE-8
        Evt9  Sta6 DT-1 | Sta8 AR-7
        Evt10 Sta2 AA-1 | Sta3 AA-8 | Sta5 AA-8 | Sta6 DT-2 | Sta7 AR-6 | Sta8-12 AA-8 | Sta13 AA-6
        Evt11 Sta6 AR-1
        Evt12 Sta2 AA-1 | Sta3 AA-8 | Sta5 AA-8 | Sta6 AR-2 | Sta7 AR-8 | Sta8-12 AA-8 | Sta13 AA-6
        Evt13 Sta2 AA-1 | Sta3 AA-8 | Sta5-6 AA-8 | Sta7 AR-3 | Sta8-9 AA-8 | Sta10 AR-10 | Sta11 AR-3 | Sta12 AA-8 | Sta13 AA-6
        Evt14 Sta8 AR-4 | Sta9 AR-9 | Sta12 AR-4
        Evt15 Sta3 AA-1 | Sta4 AA-2 | Sta5-12 AA-1
        Evt16 Sta2 AA-2 | Sta3 AA-3 | Sta5-12 AA-3 | Sta13 AA-2
        Evt17 Sta2 AA-5 | Sta3-12 AA-4 | Sta13 AR-5
        Evt18 Sta2 AA-2 | Sta13 AA-2
        Evt19 Sta2 AA-1 | Sta3 AA-8 | Sta5-12 AA-8 | Sta13 AA-7
    ";

    fn expected(state: usize, event: usize) -> Option<String> {
        let row = EXPECTED
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .find(|(name, _)| *name == format!("Evt{event}"))
            .map(|(_, cells)| cells)?;
        row.split('|').find_map(|cell| {
            let (states, action) = cell.trim().split_once(' ')?;
            let (from, to) = match states.trim_start_matches("Sta").split_once('-') {
                Some((from, to)) => (from.parse::<usize>().unwrap(), to.parse().unwrap()),
                None => (states[3..].parse().unwrap(), states[3..].parse().unwrap()),
            };
            (from..=to).contains(&state).then(|| action.trim().to_owned())
        })
    }

    /// `Ae1` is AE-1.
    fn spelling(action: Action) -> String {
        let name = format!("{action:?}");
        format!("{}-{}", name[..2].to_uppercase(), &name[2..])
    }

    #[test]
    fn every_cell_is_that_of_table_9_10() {
        for (row, event) in EVENTS.into_iter().enumerate() {
            for (column, state) in STATES.into_iter().enumerate() {
                assert_eq!(
                    action(state, event).map(spelling),
                    expected(column + 1, row + 1),
                    "{event:?} in {state:?}"
                );
            }
        }
    }

    #[test]
    fn every_action_leads_where_tables_9_6_to_9_9_say() {
        #[rustfmt::skip]
        let expected = [
            (Ae1, 4), (Ae2, 5), (Ae3, 6), (Ae4, 1), (Ae5, 2), (Ae6, 3), (Ae7, 6), (Ae8, 13), (Dt1, 6), (Dt2, 6),
            (Ar1, 7), (Ar2, 8), (Ar3, 1), (Ar4, 13), (Ar5, 1), (Ar6, 7), (Ar7, 8), (Ar9, 11), (Ar10, 12),
            (Aa1, 13), (Aa2, 1), (Aa3, 1), (Aa4, 1), (Aa5, 1), (Aa6, 13), (Aa7, 13), (Aa8, 13),
        ];
        for (action, state) in expected {
            for side in [Side::Requestor, Side::Acceptor] {
                assert_eq!(action.next_state(side), STATES[state - 1], "{action:?}");
            }
        }
        assert_eq!(Ar8.next_state(Side::Requestor), State::Sta9);
        assert_eq!(Ar8.next_state(Side::Acceptor), State::Sta10);
    }
}
