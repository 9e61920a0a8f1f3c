//! Asks every server, again and again, whether it is ready. What follows from the answer is decided by the directory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::proxy::{ServerStream, ServerTls, Shared};
use crate::settings::Settings;
use crate::upstream::{Health, Upstream, Upstreams};

/// A server that is down is asked more often, so that it is used as soon as it is back.
const DOWN_INTERVAL: Duration = Duration::from_millis(100);
const REQUEST: &[u8] =
    b"GET /tenon/ready HTTP/1.1\r\nhost: tenon\r\nuser-agent: tenon-load-balancer\r\nconnection: close\r\n\r\n";

/// Follows the list of servers and keeps one task per server that asks it.
pub(crate) async fn run(shared: Arc<Shared>, mut servers: watch::Receiver<Upstreams>, stop: CancellationToken) {
    let tracker = TaskTracker::new();
    let mut tasks: HashMap<u64, CancellationToken> = HashMap::new();
    loop {
        shared.directory.replace(&servers.borrow_and_update());
        let upstreams = shared.directory.upstreams();
        tasks.retain(|id, task| {
            let stays = upstreams.iter().any(|upstream| upstream.id == *id);
            if !stays {
                task.cancel();
            }
            stays
        });
        for upstream in upstreams {
            tasks.entry(upstream.id).or_insert_with(|| {
                let token = stop.child_token();
                let (shared, token_of_task) = (Arc::clone(&shared), token.clone());
                tracker.spawn(async move {
                    token_of_task.run_until_cancelled(watch_one(&shared, &upstream)).await;
                });
                token
            });
        }
        match stop.run_until_cancelled(servers.changed()).await {
            Some(Ok(())) => {}
            // Nobody will change the list any more; what is known stays.
            Some(Err(_)) => {
                stop.cancelled().await;
                break;
            }
            None => break,
        }
    }
    tracker.close();
    tracker.wait().await;
}

async fn watch_one(shared: &Shared, upstream: &Upstream) {
    let settings = &shared.settings;
    loop {
        let checked = check(upstream, shared.server_tls.as_ref(), settings).await;
        let (directory, now) = (&shared.directory, Instant::now());
        match checked {
            Check::Answered(ready) => directory.checked(upstream.id, Some(ready), now),
            Check::Silent => directory.checked(upstream.id, None, now),
            Check::Refused => directory.refused(upstream.id, now),
        }
        directory.refresh(now);
        let down = directory
            .health(upstream.id)
            .is_some_and(|health| health != Health::Ready);
        let interval = settings.health_interval.0;
        tokio::time::sleep(if down { interval.min(DOWN_INTERVAL) } else { interval }).await;
    }
}

enum Check {
    Answered(bool),
    Silent,
    Refused,
}

async fn check(upstream: &Upstream, tls: Option<&ServerTls>, settings: &Settings) -> Check {
    let asking = async {
        let mut stream = match ServerStream::connect(&upstream.endpoint, tls, settings.connect_timeout.0).await {
            Ok(stream) => stream,
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => return Check::Silent,
            Err(_) => return Check::Refused,
        };
        let mut start = [0_u8; 12];
        let asked = async {
            stream.write_all(REQUEST).await?;
            stream.read_exact(&mut start).await
        };
        match asked.await {
            Ok(_) => Check::Answered(&start[9..] == b"200"),
            // Nobody is there who could be waited for.
            Err(_) => Check::Refused,
        }
    };
    tokio::time::timeout(settings.health_timeout.0, asking)
        .await
        .unwrap_or(Check::Silent)
}
