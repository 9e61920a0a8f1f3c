//! What components said last.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tenon_model::Timestamp;

use crate::error::StoreError;
use crate::reports::{Report, ReportReply, ReportRequest};

/// How long the last word of a component is kept.
const KEPT: Duration = Duration::from_mins(10);
const COMPONENTS_MAX: usize = 64;
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reports by the name of whose they are.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<BTreeMap<String, (Timestamp, String)>>);

impl Reports {
    /// Does a request.
    pub(crate) fn answer(&self, request: ReportRequest, now: Timestamp) -> Result<ReportReply, StoreError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| now.since(*at) < KEPT);
        match request {
            ReportRequest::Put { body, .. } if body.len() > BODY_BYTES_MAX => {
                Err(StoreError::Invalid("the report is longer than 1 MiB".to_owned()))
            }
            ReportRequest::Put { name, body } => {
                known.insert(name, (now, body));
                if known.len() > COMPONENTS_MAX {
                    let oldest = known.iter().min_by_key(|(_, (at, _))| *at);
                    if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                        known.remove(&name);
                    }
                }
                Ok(ReportReply::Done)
            }
            ReportRequest::List => {
                let reports = known.iter().map(|(name, (at, body))| Report {
                    name: name.clone(),
                    body: body.clone(),
                    at: *at,
                });
                Ok(ReportReply::List(reports.collect()))
            }
        }
    }
}
