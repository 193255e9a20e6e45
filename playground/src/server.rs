//! The server: which address does what.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::from_fn;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use diffusion::ScoreModel;
use futures_util::stream;
use imaging::{decode_image, decode_mask};
use program::explain;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::guard::guard;
use crate::log::Log;
use crate::offers::mask_picture;
use crate::page::FILES;
use crate::picture::Picture;
use crate::plan::Plan;
use crate::queue::Queue;
use crate::wish::Wish;

/// The largest file that is taken for an image.
const LARGEST_FILE: usize = 64 << 20;
/// What a wish holds beside its pictures is far less than this.
const LARGEST_REST: usize = 64 << 10;
/// A line that says nothing, so often: a viewer that has gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// What the server serves.
pub struct Playground {
    model: Arc<dyn ScoreModel + Send + Sync>,
    /// What the prior is called.
    prior: String,
    /// [`Offers`](crate::offers::Offers), written out.
    offers: String,
    queue: Arc<Queue>,
    /// One file is read at a time: decoded, it may take much memory.
    reader: Semaphore,
}

/// All addresses of a playground.
pub fn routes(model: Arc<dyn ScoreModel + Send + Sync>, prior: String, offers: String, queue: Arc<Queue>) -> Router {
    let playground = Arc::new(Playground {
        model,
        prior,
        offers,
        queue,
        reader: Semaphore::new(1),
    });
    let mut router = Router::new();
    for file in FILES {
        router = router.route(
            file.path,
            get(move || async move { ([(CONTENT_TYPE, file.kind)], file.text) }),
        );
    }
    router
        .route("/api/offers", get(offer))
        .route("/api/images", post(read_image))
        .route("/api/masks", post(read_mask))
        .route("/api/runs", post(start))
        .route("/api/runs/{id}/events", get(events))
        .route("/api/runs/{id}/cancel", post(cancel))
        .layer(from_fn(guard))
        .with_state(playground)
}

async fn offer(State(playground): State<Arc<Playground>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], playground.offers.clone()).into_response()
}

/// An image file, made to fit the prior.
async fn read_image(State(playground): State<Arc<Playground>>, body: Body) -> Response {
    let size = playground.model.image_shape()[1];
    let read = move |bytes: &[u8]| {
        let image = decode_image(bytes, "this file", size)?;
        Ok(json!({ "picture": Picture::of(&image.pixels), "adapted": image.adapted }))
    };
    answer(playground.read_file(body, read).await)
}

/// A mask's file, made to fit the prior.
async fn read_mask(State(playground): State<Arc<Playground>>, body: Body) -> Response {
    let size = playground.model.image_shape()[1];
    let read = move |bytes: &[u8]| {
        let mask = decode_mask(bytes, "this file", size)?;
        let remarks = mask
            .adapted
            .iter()
            .cloned()
            .chain((!mask.remark.is_empty()).then(|| mask.remark.clone()));
        let remarks: Vec<String> = remarks.collect();
        Ok(json!({ "picture": mask_picture(&mask), "adapted": remarks.join("; ") }))
    };
    answer(playground.read_file(body, read).await)
}

/// Puts a run into the queue.
async fn start(State(playground): State<Arc<Playground>>, body: Body) -> Response {
    answer(playground.start(body).await)
}

/// What happened in a run, from its beginning or from where a page left off, and what happens from now on.
async fn events(State(playground): State<Arc<Playground>>, Path(id): Path<u64>, headers: HeaderMap) -> Response {
    let Some(log) = playground.queue.find(id) else {
        return gone();
    };
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok());
    let next = last
        .and_then(|last| last.parse::<usize>().ok())
        .map_or(0, |last| last.saturating_add(1));
    let events = stream::unfold((log.viewer(), next), |(viewer, next)| async move {
        if !viewer.log().wait_for(next).await {
            return None;
        }
        let told = viewer.log().event(next)?;
        let event = Event::default().event(told.kind).id(next.to_string()).data(&told.json);
        Some((Ok::<_, Infallible>(event), (viewer, next + 1)))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

async fn cancel(State(playground): State<Arc<Playground>>, Path(id): Path<u64>) -> Response {
    let Some(log) = playground.queue.find(id) else {
        return gone();
    };
    playground.queue.cancel(&log);
    answer(Ok(json!({})))
}

impl Playground {
    async fn start(&self, body: Body) -> Result<Value> {
        let [_, height, width] = self.model.image_shape();
        // Four bytes of colour and mask a pixel, in base64.
        let largest = LARGEST_REST + 8 * height * width;
        let bytes = to_bytes(body, largest).await;
        let bytes = bytes.map_err(|_| anyhow!("what the page sent is larger than {largest} bytes: load it again"))?;
        let wish: Wish = serde_json::from_slice(&bytes).context("what the page sent cannot be read: load it again")?;
        let (model, prior, queue) = (self.model.clone(), self.prior.clone(), self.queue.clone());
        let add = move || -> Result<Arc<Log>> { queue.add(Plan::of(&wish, model.as_ref(), &prior)?) };
        // Some operators take a while to be made.
        let log = tokio::task::spawn_blocking(add)
            .await
            .context("the run could not be prepared")??;
        Ok(json!({ "id": log.id() }))
    }

    /// Hands a file to `read`, whatever its decoder may do.
    async fn read_file(&self, body: Body, read: impl FnOnce(&[u8]) -> Result<Value> + Send + 'static) -> Result<Value> {
        let _permit = self.reader.acquire().await?;
        let bytes = to_bytes(body, LARGEST_FILE).await;
        let bytes =
            bytes.map_err(|_| anyhow!("this file is larger than {} MiB: make it smaller", LARGEST_FILE >> 20))?;
        tokio::task::spawn_blocking(move || read(&bytes))
            .await
            .context("this file could not be read")?
    }
}

/// JSON, or the sentence that says why there is none.
fn answer(result: Result<Value>) -> Response {
    let (status, value) = match result {
        Ok(value) => (StatusCode::OK, value),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "sentence": explain(&error) })),
    };
    (status, [(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn gone() -> Response {
    let sentence = json!({ "sentence": "This run is not kept any more: start it again." });
    (
        StatusCode::NOT_FOUND,
        [(CONTENT_TYPE, "application/json")],
        sentence.to_string(),
    )
        .into_response()
}
