//! One timer per connection that is seldom touched: deadlines that move away cost nothing.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A deadline that can be moved cheaply: the timer is only set anew when it must ring earlier, or rang too early.
#[derive(Debug)]
pub(crate) struct Deadline {
    sleep: Pin<Box<Sleep>>,
    armed: Instant,
    due: Instant,
}

impl Deadline {
    pub(crate) fn after(duration: Duration) -> Self {
        let due = Instant::now() + duration;
        Self {
            sleep: Box::pin(tokio::time::sleep_until(due)),
            armed: due,
            due,
        }
    }

    pub(crate) fn set(&mut self, due: Instant) {
        self.due = due;
        if due < self.armed {
            self.arm();
        }
    }

    /// Ready once the deadline has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if Instant::now() >= self.due {
                return Poll::Ready(());
            }
            self.arm();
        }
    }

    fn arm(&mut self) {
        self.armed = self.due;
        self.sleep.as_mut().reset(self.due);
    }
}
