//! `POST /api/proxies/{name}/sync`

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use tokio::time::timeout;

use crate::api::app::App;
use crate::api::errors::{ApiError, ChangeErrors};
use crate::api::extract::Body;
use crate::engine::{ProxyReport, ProxySync};

/// How long the answer may wait for news; a proxy reports each second.
const WAIT: Duration = Duration::from_secs(1);
/// The largest report, in bytes. A release's counts are 25 KB at most (a bucket of the histogram
/// is a pair of numbers, and there are 1728), so this holds more than a thousand releases; a
/// proxy remembers up to 16 former ones a service.
const REPORT_LIMIT: usize = 32 * 1024 * 1024;

/// A proxy tells what it counts and observes, and is told what to serve. The answer comes at
/// once when there is something newer than the generation reported, else as soon as there is,
/// and after a second at the latest.
#[utoipa::path(
    post,
    path = "/api/proxies/{name}/sync",
    operation_id = "sync_proxy",
    tag = "proxies",
    params(("name" = String, Path, description = "The proxy's name, as in its report")),
    request_body = ProxyReport,
    responses((status = 200, description = "What to serve", body = ProxySync), ChangeErrors)
)]
pub(super) async fn sync(
    State(app): State<App>,
    Path(name): Path<String>,
    Body(report): Body<ProxyReport, REPORT_LIMIT>,
) -> Result<Json<ProxySync>, ApiError> {
    if report.name != name {
        let message = format!("the report is of proxy {:?}, the address of {name:?}", report.name);
        return Err(ApiError::invalid(message));
    }
    let (known, leaving) = (report.generation, report.leaving);
    let mut snapshots = app.engine.snapshots();
    let sync = app.engine.sync(report).await?;
    if leaving || sync.snapshot.generation > known {
        return Ok(Json(sync));
    }
    let newer = snapshots.wait_for(|snapshot| snapshot.generation > known);
    tokio::select! {
        () = app.stopping.wait() => Ok(Json(sync)),
        found = timeout(WAIT, newer) => match found {
            Ok(Ok(snapshot)) => Ok(Json(ProxySync { snapshot: snapshot.clone() })),
            // Nothing newer in time, or the engine has stopped: what was said stands.
            Ok(Err(_)) | Err(_) => Ok(Json(sync)),
        },
    }
}
