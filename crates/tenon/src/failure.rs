//! How a command fails: one sentence on what happened, one on what to do, and an exit code that scripts can rely on.

use std::fmt;

/// What the process exits with. The table in docs/cli.md is for people; this one is for the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything without a code of its own.
    Failed = 1,
    /// The command line itself is wrong.
    Usage = 2,
    /// The path is no environment and no component.
    NotAnEnvironment = 3,
    /// The directory is not empty.
    NotEmpty = 5,
    /// It runs already.
    AlreadyRunning = 9,
    /// It does not run.
    NotRunning = 10,
    /// An option has a value that can't be used.
    InvalidInput = 15,
    /// A component does not start.
    FailedToStart = 18,
    /// A manifest, or what was sent to the cluster, is wrong.
    Invalid = 21,
    /// It took longer than it was given.
    TimedOut = 28,
    /// There is no such path.
    NoSuchPath = 31,
    /// A port is in use, or can't be used.
    Port = 40,
    /// No suitable Python.
    NoPython = 41,
    /// No server of the cluster answers.
    Unreachable = 42,
    /// The cluster has no such thing.
    NotFound = 44,
    /// What was deployed was refused.
    Refused = 45,
    /// A settings file is wrong.
    Settings = 64,
}

impl Exit {
    /// Every code with what it means, for the documentation.
    pub(crate) const ALL: [(Exit, &'static str); 17] = [
        (Exit::Failed, "anything without a code of its own"),
        (Exit::Usage, "the command line itself is wrong"),
        (Exit::NotAnEnvironment, "the path is no environment and no component"),
        (Exit::NotEmpty, "the directory is not empty"),
        (Exit::AlreadyRunning, "it runs already"),
        (Exit::NotRunning, "it does not run"),
        (Exit::InvalidInput, "an option has a value that can't be used"),
        (Exit::FailedToStart, "a component does not start"),
        (Exit::Invalid, "a manifest, or what was sent to the cluster, is wrong"),
        (Exit::TimedOut, "it took longer than it was given"),
        (Exit::NoSuchPath, "there is no such path"),
        (Exit::Port, "a port is in use, or can't be used"),
        (Exit::NoPython, "no Python 3.9 or newer was found"),
        (Exit::Unreachable, "no server of the cluster answers"),
        (
            Exit::NotFound,
            "the cluster has no such service, object, job or deployment",
        ),
        (
            Exit::Refused,
            "what was deployed was refused, or what was invoked failed",
        ),
        (Exit::Settings, "a settings file is wrong"),
    ];

    /// The code as a number.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// Why a command ended without doing what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The process's exit code.
    pub(crate) exit: Exit,
    what: String,
    hint: String,
}

impl Failure {
    /// A failure: its code, what happened, what to do about it (empty if that is plain).
    pub(crate) fn new(exit: Exit, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Makes a failure into the error that commands return.
macro_rules! fail {
    ($exit:ident, $what:expr, $hint:expr $(,)?) => {
        return Err($crate::failure::Failure::new($crate::failure::Exit::$exit, $what, $hint).into())
    };
}
pub(crate) use fail;
