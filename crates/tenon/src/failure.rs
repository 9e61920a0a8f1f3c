//! How a command fails: one sentence on what happened, one on what to do, and an exit code that scripts can rely on.

use std::fmt;

/// What the process exits with; docs/cli.md has the table. The parser of the command line itself ends with 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Anything without a code of its own.
    Failed = 1,
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
    /// It was sent, and nobody knows whether it was done.
    Unknown = 43,
    /// The cluster has no such thing.
    NotFound = 44,
    /// What was deployed was refused.
    Refused = 45,
    /// A settings file is wrong.
    Settings = 64,
}

impl Exit {
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

#[cfg(test)]
mod tests {
    /// The page for people, against the code: every code of the enumeration has its row, and every row its code.
    #[test]
    fn the_documentation_lists_every_exit_code() {
        let codes = |text: &str, begin: &str| -> std::collections::BTreeSet<u8> {
            let lines = text.lines().map(str::trim).filter_map(|line| line.strip_prefix(begin));
            lines
                .filter_map(|rest| rest.split([' ', ',', '|']).next()?.parse().ok())
                .collect()
        };
        let source = include_str!("failure.rs");
        let variants: Vec<&str> = source
            .lines()
            .filter_map(|line| line.split_once(" = ").map(|(_, code)| code))
            .collect();
        let mut known = codes(&variants.join("\n"), "");
        // Done, and what the parser of the command line answers by itself.
        known.extend([0, 2]);
        assert_eq!(codes(include_str!("../../../docs/cli.md"), "| "), known);
    }
}
