//! Commands of the past, for deciding them again.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lines;
use crate::extract::{Caller, Params};
use crate::ports::{Act, Entry, Period};
use crate::problem::Problem;
use crate::state::Api;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryParams {
    since: String,
    until: Option<String>,
    principal: Option<String>,
    target: Option<String>,
}

impl HistoryParams {
    fn period(self) -> Result<Period, Problem> {
        let time = |name: &str, text: &str| {
            let wrong = |_| Problem::bad_request(format!("`{name}` is a time with an offset: 2026-11-21T09:00:00Z"));
            OffsetDateTime::parse(text, &Rfc3339).map_err(wrong)
        };
        Ok(Period {
            since: time("since", &self.since)?,
            until: self.until.as_deref().map(|until| time("until", until)).transpose()?,
            principal: self.principal,
            target: self.target,
        })
    }
}

pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Params(params): Params<HistoryParams>,
) -> Result<Response, Problem> {
    if !api.access.sees_everything(caller.principal()) {
        return Err(Problem::forbidden(
            "only auditors and administrators see the commands of others",
        ));
    }
    let (since, until) = (params.since.clone(), params.until.clone());
    let (principal, target) = (params.principal.clone(), params.target.clone());
    let period = params.period()?;
    let place = lines::place_for_scan()?;
    api.record(Entry {
        act: Act::HistoryRead {
            since,
            until,
            principal,
            target,
        },
        actor: caller.principal().id.to_string(),
        source: caller.source,
    })
    .await?;
    let recordings = Arc::clone(&api.recordings);
    lines::answer(place, move |line| recordings.history(&period, line)).await
}
