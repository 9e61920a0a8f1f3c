//! Panics of handlers: caught for each call, told to the log with where they happened.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::panic::PanicHookInfo;

use crate::context::CURRENT;
use crate::error::Error;

thread_local! {
    /// Where the panic that is on its way through this thread began.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the place of panics within calls, which are told with the call's answer; others are printed as before.
pub(crate) fn install_hook() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if CURRENT.try_with(|_| ()).is_err() {
            otherwise(info);
            return;
        }
        let text = describe(info);
        PLACE.with(|place| place.replace(text));
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let at = info
        .location()
        .map(|place| format!("panicked at {place}\n"))
        .unwrap_or_default();
    let trace = Backtrace::capture();
    match trace.status() {
        BacktraceStatus::Captured => format!("{at}{trace}"),
        _ => at,
    }
}

/// The error that a panic becomes.
pub(crate) fn error_of(panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    Error::failed("panic", message, PLACE.with(RefCell::take))
}
