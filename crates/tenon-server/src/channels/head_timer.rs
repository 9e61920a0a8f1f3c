//! The time that the head of a request may take, without setting a timer of the runtime for each request.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// The timer of one connection, which waits for one head after the other and for each of them as long.
///
/// There is one alarm, which stays set when a head has come. It is set anew when it goes off and somebody still waits, so that
/// a connection that is busy sets it once in that time and not with every request.
#[derive(Debug, Clone)]
pub(super) struct HeadTimer(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl HeadTimer {
    /// A timer for heads that may take so long.
    pub(super) fn new(timeout: Duration) -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(timeout)))))
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait {
            deadline: deadline.into(),
            timer: self.clone(),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

/// Waits until a deadline.
struct Wait {
    deadline: tokio::time::Instant,
    timer: HeadTimer,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.timer.0.lock().unwrap_or_else(PoisonError::into_inner);
        if self.deadline < alarm.deadline() {
            alarm.as_mut().reset(self.deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(context));
            if alarm.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(self.deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_wait_ends_at_its_own_deadline() {
        let second = Duration::from_secs(1);
        let timer = HeadTimer::new(10 * second);
        let started = tokio::time::Instant::now();
        for (wait, expected) in [(10, 10), (10, 20), (1, 21), (10, 31)] {
            timer.sleep(wait * second).await;
            assert_eq!(started.elapsed(), expected * second);
        }
        // One that is given up leaves the alarm set, and the next one ends when it should all the same.
        let given_up = tokio::time::timeout(second, timer.sleep(10 * second)).await;
        assert!(given_up.is_err());
        timer.sleep(10 * second).await;
        assert_eq!(started.elapsed(), 42 * second);
    }
}
