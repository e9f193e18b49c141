//! The side port: probes, metrics and the operator's page, over HTTP.
//!
//! One thread with its own event loop. It reads counters and asks nobody anything, so whatever is asked of it
//! slows no other thread. It starts before recovery, so that probes are answered meanwhile.

mod checks;
mod door;
mod exposition;
mod families;
mod health;
mod hosts;
mod listener;
mod process;
mod status;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tollgate_config::Settings;

use hosts::Hosts;
use listener::Bounded;
pub use status::{Phase, Status};
use tollgate_core::metrics::Metrics;

/// Metrics asked for again within this time are the same text: asking often costs little.
const METRICS_AGE_MAX: Duration = Duration::from_millis(50);
/// How long connections may take to end when the side port stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

const PATHS: &str = "/              the operator's page
/livez         200 while the process answers
/readyz        200 when commands are served, else 503 and why; ?verbose names every check
/health        the same as JSON
/health/live   /livez as JSON
/health/ready  /readyz as JSON
/metrics       Prometheus metrics
";

/// Scripts and styles come from here and nowhere else, and nothing frames the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the side port reads.
struct Source {
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    hosts: Hosts,
    rendered: Mutex<Option<(Instant, Arc<str>)>>,
}

/// Why the side port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    /// The address cannot be listened on.
    #[error("cannot listen on side.listen = {address}: {source}; free it, or give another")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// The event loop or the thread could not be made.
    #[error("cannot start the side port's thread: {0}")]
    Thread(io::Error),
}

/// The side port.
pub struct Side;

/// A side port that is open.
pub struct SideHandle {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Side {
    /// Listens on `settings.side.listen` (port 0 for any) and answers.
    pub fn start(
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
    ) -> Result<SideHandle, SideError> {
        Self::start_on(None, settings, metrics, status)
    }

    /// The same on a listener that is open already, if there is one.
    pub fn start_on(
        open: Option<&std::net::TcpListener>,
        settings: Arc<Settings>,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
    ) -> Result<SideHandle, SideError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(SideError::Thread)?;
        let wanted = settings.side.listen;
        let listen = |source| SideError::Listen { address: wanted, source };
        let listener = runtime
            .block_on(async {
                match open {
                    Some(open) => TcpListener::from_std(open.try_clone()?),
                    None => TcpListener::bind(wanted).await,
                }
            })
            .map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let hosts = Hosts::new(address.ip(), &settings.side.hosts);
        let source = Arc::new(Source { settings, metrics, status, hosts, rendered: Mutex::new(None) });
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("tollgate-side".to_owned())
            .spawn(move || run(runtime, listener, source, stopped))
            .map_err(SideError::Thread)?;
        Ok(SideHandle { address, stop: Some(stop), thread: Some(thread) })
    }
}

fn run(runtime: Runtime, listener: TcpListener, source: Arc<Source>, mut stopped: oneshot::Receiver<()>) {
    let serve = axum::serve(Bounded::new(listener), router(source));
    runtime.block_on(async move {
        let (begin, begun) = oneshot::channel::<()>();
        let serve = serve.with_graceful_shutdown(async move {
            // A handle that is gone wants nothing more either.
            let _ = begun.await;
        });
        let mut serving = tokio::spawn(serve.into_future());
        let _ = (&mut stopped).await;
        drop(begin);
        // Who does not end by then is cut off with the event loop.
        let _ = tokio::time::timeout(STOP_TIMEOUT, &mut serving).await;
    });
    runtime.shutdown_background();
}

fn router(source: Arc<Source>) -> Router {
    Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", include_str!("page/index.html")) }))
        .route("/page.css", get(|| async { file("text/css; charset=utf-8", include_str!("page/page.css")) }))
        .route(
            "/page.js",
            get(|| async { file("text/javascript; charset=utf-8", include_str!("page/page.js")) }),
        )
        .route("/livez", get(|| async { plain(StatusCode::OK, "ok\n".to_owned()) }))
        .route("/readyz", get(ready))
        .route("/health", get(health))
        .route("/health/live", get(health_live))
        .route("/health/ready", get(health_ready))
        .route("/metrics", get(metrics))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&source), hosts::check))
        .layer(axum::middleware::map_response(harden))
        .with_state(source)
}

async fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn file(content_type: &'static str, content: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], content).into_response()
}

fn plain(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn json(passed: bool, text: String) -> Response {
    (code(passed), [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn code(passed: bool) -> StatusCode {
    if passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn ready(State(source): State<Arc<Source>>, RawQuery(query): RawQuery) -> Response {
    let asked = |query: String| query.split('&').any(|part| part.split('=').next() == Some("verbose"));
    let (passed, text) = health::ready(&source, query.is_some_and(asked));
    plain(code(passed), text)
}

async fn health(State(source): State<Arc<Source>>) -> Response {
    let (passed, text) = health::health(&source);
    json(passed, text)
}

async fn health_live(State(source): State<Arc<Source>>) -> Response {
    json(true, health::brief(&source, true))
}

async fn health_ready(State(source): State<Arc<Source>>) -> Response {
    let passed = health::is_ready(&source);
    json(passed, health::brief(&source, passed))
}

async fn metrics(State(source): State<Arc<Source>>) -> Response {
    let text = source.rendered();
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text.to_string()).into_response()
}

async fn unknown() -> Response {
    plain(StatusCode::NOT_FOUND, format!("there is nothing here; there is:\n{PATHS}"))
}

async fn not_allowed(method: Method) -> Response {
    plain(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not answered here; use GET or HEAD\n"))
}

impl Source {
    /// The text of all metrics, hardly older than now.
    fn rendered(&self) -> Arc<str> {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, text)) = &*rendered
            && when.elapsed() < METRICS_AGE_MAX
        {
            return Arc::clone(text);
        }
        let text: Arc<str> = families::render(self).into();
        *rendered = Some((Instant::now(), Arc::clone(&text)));
        text
    }
}

impl SideHandle {
    /// Where the side port listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and waits for the thread: at most a second or so.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the side port's thread panicked");
        }
    }
}
