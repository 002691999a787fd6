//! The core's tracing events as records of `logging.getLogger("kurultai")`. Tokio threads only queue them; a thread
//! that holds the GIL anyway hands them over.

use crate::bell::Bell;
use kurultai_bridge::lock;
use pyo3::{prelude::*, sync::PyOnceLock};
use std::{
    collections::VecDeque,
    fmt::{self, Write},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

/// More than nobody fetches are dropped, the oldest first.
const MOST: usize = 10_000;

struct Record {
    level: u8,
    target: &'static str,
    message: String,
}

static RECORDS: Mutex<VecDeque<Record>> = Mutex::new(VecDeque::new());
static ANY: AtomicBool = AtomicBool::new(false);
/// The lowest Python level that somebody wants to see.
static WANTED: AtomicU8 = AtomicU8::new(30);
/// The loop that is woken for a record.
static WAKE: Mutex<Weak<Bell>> = Mutex::new(Weak::new());
/// `kurultai._logs.emit(records)`: logs them and answers with the logger's level.
static EMIT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

pub(crate) fn wake_through(bell: &Arc<Bell>) {
    *lock(&WAKE) = Arc::downgrade(bell);
}

/// Logs what has come, and learns what is wanted from now on.
pub(crate) fn hand_over(py: Python<'_>) -> PyResult<()> {
    if ANY.swap(false, Ordering::Relaxed) { emit(py) } else { Ok(()) }
}

#[pyfunction]
pub(crate) fn emit(py: Python<'_>) -> PyResult<()> {
    let records = std::mem::take(&mut *lock(&RECORDS));
    let records: Vec<(u8, &str, String)> =
        records.into_iter().map(|r| (r.level, r.target, r.message)).collect();
    let wanted: u8 = EMIT.import(py, "kurultai._logs", "emit")?.call1((records,))?.extract()?;
    WANTED.store(wanted, Ordering::Relaxed);
    Ok(())
}

struct Collect;

impl Subscriber for Collect {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let ours = metadata.is_event() && metadata.target().starts_with("kurultai");
        if ours { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && metadata.target().starts_with("kurultai")
            && python_level(*metadata.level()) >= WANTED.load(Ordering::Relaxed)
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let level = python_level(*event.metadata().level());
        let record = Record { level, target: event.metadata().target(), message: message.text() };
        let mut records = lock(&RECORDS);
        if records.len() == MOST {
            records.pop_front();
        }
        records.push_back(record);
        drop(records);
        if !ANY.swap(true, Ordering::Relaxed)
            && let Some(bell) = lock(&WAKE).upgrade()
        {
            bell.ring();
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn python_level(level: Level) -> u8 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// The message, then its fields as `name=value`.
#[derive(Default)]
struct Message {
    message: String,
    fields: String,
}

impl Message {
    fn text(self) -> String {
        if self.message.is_empty() {
            self.fields.trim_start().to_owned()
        } else {
            self.message + &self.fields
        }
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing into a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // Fails only where this module was loaded twice; the first subscriber then serves both.
    drop(tracing::subscriber::set_global_default(Collect));
    module.add_function(pyo3::wrap_pyfunction!(emit, module)?)
}
