//! How one exchange is judged: DESIGN.md's rule that every request ends as answered, safely retried or explicitly unknown.

use super::ledger::End;

/// What `X-Tenon-Outcome` of an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is no such header.
    Unsaid,
    /// `not-sent` or `not-run`: the request may be sent again.
    NothingDone,
    /// `unknown`: a process had it and went away.
    Unknown,
}

impl Outcome {
    /// What the value of the header means; empty without one.
    pub(super) fn named(value: &str) -> Self {
        match value {
            "not-sent" | "not-run" => Self::NothingDone,
            "unknown" => Self::Unknown,
            _ => Self::Unsaid,
        }
    }
}

/// How far a request had come when its connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Not a byte was on its way, or the other side said that it has not looked at it.
    Nothing,
    /// At least a part of it was on its way.
    Something,
    /// The answer had begun.
    AnswerBegun,
}

/// What a client saw of one exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An answer came whole.
    Answer {
        /// Its status.
        status: u16,
        /// What it says about the request's outcome.
        outcome: Outcome,
        /// Why it is not the answer to this request, if it is not.
        wrong: Option<String>,
    },
    /// Nobody took the connection.
    NotConnected(String),
    /// The connection ended before the answer was whole.
    Lost(Sent, String),
    /// No answer came within the client's patience.
    TooLate,
}

/// What is known about the time of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Circumstances {
    /// Whether the request may be done twice.
    pub is_idempotent: bool,
    /// Whether the load balancer, which holds the client's connection, was killed in that time.
    pub front_died: bool,
    /// Whether a server or a worker was killed in that time.
    pub back_died: bool,
}

/// What follows from an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The request has ended, for this reason.
    Ends(End, String),
    /// The client may send it again, and does; for this reason.
    Repeat(String),
}

/// Judges one exchange.
///
/// Nothing is taken for granted: an unknown outcome is a failure if no process died that could have had the request, and so is
/// every connection that nobody takes, because the load balancer's sockets outlive it.
pub fn judge(seen: Seen, circumstances: Circumstances) -> Step {
    let Circumstances {
        is_idempotent,
        front_died,
        back_died,
    } = circumstances;
    // Nobody can say whether it was done, so that it is the method that decides.
    let unsure = |why: String| {
        if is_idempotent {
            Step::Repeat(why)
        } else {
            Step::Ends(End::Unknown, why)
        }
    };
    match seen {
        Seen::Answer {
            status: 200,
            wrong: None,
            ..
        } => Step::Ends(End::Answered, String::new()),
        Seen::Answer {
            status: 200,
            wrong: Some(why),
            ..
        } => Step::Ends(End::Failed, format!("a wrong answer: {why}")),
        Seen::Answer {
            status: 503,
            outcome: Outcome::NothingDone,
            ..
        } => Step::Repeat("told to repeat".to_owned()),
        Seen::Answer {
            status,
            outcome: Outcome::Unknown,
            ..
        } if back_died => unsure(format!("told so with {status}")),
        Seen::Answer { status, outcome, .. } => {
            Step::Ends(End::Failed, format!("answered {status}, outcome {outcome:?}"))
        }
        Seen::NotConnected(why) => Step::Ends(End::Failed, format!("nobody took the connection: {why}")),
        Seen::Lost(Sent::Nothing, why) => Step::Repeat(format!("nothing was sent: {why}")),
        Seen::Lost(_, why) if front_died => unsure(format!("the load balancer died with the request: {why}")),
        // What has begun can't be taken back: the answer ends with the server that gave it.
        Seen::Lost(Sent::AnswerBegun, why) if back_died => {
            unsure(format!("the server died in the middle of its answer: {why}"))
        }
        Seen::Lost(sent, why) => Step::Ends(End::Failed, format!("the connection was lost ({sent:?}): {why}")),
        Seen::TooLate => Step::Ends(End::Failed, "no answer in time".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: Circumstances = Circumstances {
        is_idempotent: false,
        front_died: false,
        back_died: false,
    };
    const GET: Circumstances = Circumstances {
        is_idempotent: true,
        ..POST
    };

    fn answer(status: u16, outcome: Outcome) -> Seen {
        Seen::Answer {
            status,
            outcome,
            wrong: None,
        }
    }

    fn lost(sent: Sent) -> Seen {
        Seen::Lost(sent, "reset".to_owned())
    }

    #[track_caller]
    fn assert_ends(seen: &Seen, circumstances: Circumstances, end: End) {
        let step = judge(seen.clone(), circumstances);
        assert!(
            matches!(&step, Step::Ends(ended, _) if *ended == end),
            "{seen:?} {circumstances:?}: {step:?}"
        );
    }

    #[track_caller]
    fn assert_repeats(seen: &Seen, circumstances: Circumstances) {
        let step = judge(seen.clone(), circumstances);
        assert!(matches!(step, Step::Repeat(_)), "{seen:?} {circumstances:?}: {step:?}");
    }

    #[test]
    fn an_answer_counts_if_it_is_the_right_one() {
        assert_ends(&answer(200, Outcome::Unsaid), POST, End::Answered);
        let wrong = Seen::Answer {
            status: 200,
            outcome: Outcome::Unsaid,
            wrong: Some("another id".to_owned()),
        };
        assert_ends(&wrong, POST, End::Failed);
        assert_ends(&answer(500, Outcome::Unsaid), GET, End::Failed);
        assert_ends(&answer(503, Outcome::Unsaid), GET, End::Failed);
    }

    #[test]
    fn what_was_not_done_is_repeated_whatever_the_method() {
        assert_repeats(&answer(503, Outcome::NothingDone), POST);
        assert_repeats(&lost(Sent::Nothing), POST);
    }

    #[test]
    fn unknown_needs_a_process_that_died_and_a_request_that_is_not_idempotent() {
        let died = Circumstances {
            back_died: true,
            ..POST
        };
        assert_ends(&answer(502, Outcome::Unknown), died, End::Unknown);
        assert_ends(&answer(502, Outcome::Unknown), POST, End::Failed);
        let get = Circumstances {
            is_idempotent: true,
            ..died
        };
        assert_repeats(&answer(502, Outcome::Unknown), get);
        assert_ends(&answer(502, Outcome::Unknown), GET, End::Failed);
    }

    #[test]
    fn a_lost_connection_is_explained_by_the_death_of_who_held_it() {
        let front = Circumstances {
            front_died: true,
            ..POST
        };
        assert_ends(&lost(Sent::Something), front, End::Unknown);
        assert_ends(&lost(Sent::Something), POST, End::Failed);
        assert_ends(&lost(Sent::Something), GET, End::Failed);
        assert_repeats(
            &lost(Sent::AnswerBegun),
            Circumstances {
                is_idempotent: true,
                ..front
            },
        );
        let back = Circumstances {
            back_died: true,
            ..POST
        };
        assert_ends(&lost(Sent::Something), back, End::Failed);
        assert_ends(&lost(Sent::AnswerBegun), back, End::Unknown);
    }

    #[test]
    fn nobody_is_refused_and_nobody_waits_for_ever() {
        let all = Circumstances {
            is_idempotent: true,
            front_died: true,
            back_died: true,
        };
        assert_ends(&Seen::NotConnected("refused".to_owned()), all, End::Failed);
        assert_ends(&Seen::TooLate, all, End::Failed);
    }
}
