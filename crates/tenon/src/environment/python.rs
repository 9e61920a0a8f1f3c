//! Finds the Python that runs services.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Exit, Failure};

/// The oldest Python that services may run on.
const VERSION_MIN: (u32, u32) = (3, 9);

/// A Python that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Python {
    /// The interpreter itself, not a wrapper around it.
    pub(crate) path: PathBuf,
    /// Its version.
    pub(crate) version: String,
}

/// The interpreter at `wanted`, or the first suitable one of the usual names.
pub(crate) fn find(wanted: Option<&Path>) -> Result<Python, Failure> {
    let hint = "install Python 3.9 or newer, or name one with --python PATH";
    if let Some(wanted) = wanted {
        return ask(wanted).map_err(|reason| {
            let what = format!("{} can't be used as Python: {reason}", wanted.display());
            Failure::new(Exit::NoPython, what, hint)
        });
    }
    let mut reasons = Vec::new();
    for name in ["python3", "python"] {
        match ask(Path::new(name)) {
            Ok(python) => return Ok(python),
            Err(reason) => reasons.push(format!("{name}: {reason}")),
        }
    }
    let what = format!("no Python was found that can run services ({})", reasons.join("; "));
    Err(Failure::new(Exit::NoPython, what, hint))
}

/// Asks an interpreter where and what it is.
fn ask(program: &Path) -> Result<Python, String> {
    const QUESTION: &str = "import sys; print(sys.executable); print('%d.%d.%d' % sys.version_info[:3])";
    let output = Command::new(program)
        .args(["-I", "-S", "-c", QUESTION])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "not found".to_owned(),
            _ => error.to_string(),
        })?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines();
    let (Some(path), Some(version), true) = (lines.next(), lines.next(), output.status.success()) else {
        return Err("it does not answer as Python does".to_owned());
    };
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < VERSION_MIN {
        return Err(format!("it is {version}"));
    }
    // Kept as it is: the link in a virtual environment is what makes it one.
    Ok(Python {
        path: PathBuf::from(path),
        version: version.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_python_is_refused_with_the_reason() {
        let missing = find(Some(Path::new("/nowhere/python3"))).unwrap_err().to_string();
        assert!(
            missing.contains("not found") && missing.contains("--python"),
            "{missing}"
        );
        let other = find(Some(Path::new("/bin/true"))).unwrap_err().to_string();
        assert!(other.contains("does not answer as Python"), "{other}");
    }
}
