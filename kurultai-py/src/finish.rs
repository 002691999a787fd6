//! The ways an attempt ends, as items of `finish_many`.

use crate::{
    args::{LeaseArg, Span, span},
    json,
    new_task::usage,
    options::options,
};
use kurultai_core::{tasks, tasks::Failure};
use pyo3::{prelude::*, types::PyDict};

macro_rules! ending {
    ($(#[$doc:meta])* $name:ident { $($new:tt)* }) => {
        $(#[$doc])*
        #[pyclass(frozen, module = "kurultai")]
        pub(crate) struct $name(tasks::Finish);

        #[pymethods]
        impl $name {
            $($new)*

            fn __repr__(&self) -> String {
                format!("{}({:?})", stringify!($name), self.0.lease.task_id)
            }
        }
    };
}

ending! {
    /// Ends a task well.
    Complete {
        #[new]
        #[pyo3(signature = (task, results = None, *, usage = None, default = None))]
        fn new(
            task: LeaseArg,
            results: Option<&Bound<'_, PyAny>>,
            usage: Option<&Bound<'_, PyAny>>,
            default: Option<&Bound<'_, PyAny>>,
        ) -> PyResult<Self> {
            let results = json::write_results(results, default)?.unwrap_or_default();
            let outcome = tasks::Outcome::Complete { results, usage: crate::new_task::usage(usage)? };
            Ok(Complete(tasks::Finish { lease: task.0, outcome }))
        }
    }
}

ending! {
    /// Ends an attempt badly: it is tried again, or goes to the dead letters when it is not retryable.
    Fail {
        #[new]
        #[pyo3(signature = (task, error, **options), text_signature = "(task, error, *, retryable=True, \
            retry_after=None, results=None, usage=None, default=None)")]
        fn new(task: LeaseArg, error: &Bound<'_, PyAny>, options: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
            let options = options.map_or_else(|| Ok(FailOptions::default()), FailOptions::of)?;
            let failure = options.failure(error, None)?;
            Ok(Fail(tasks::Finish { lease: task.0, outcome: tasks::Outcome::Fail(failure) }))
        }
    }
}

ending! {
    /// Gives a task back; the attempt does not count.
    Release {
        #[new]
        fn new(task: LeaseArg) -> Self {
            Release(tasks::Finish { lease: task.0, outcome: tasks::Outcome::Release })
        }
    }
}

ending! {
    /// Puts a task off; the attempt does not count.
    Postpone {
        #[new]
        #[pyo3(signature = (task, *, after))]
        fn new(task: LeaseArg, after: Span) -> PyResult<Self> {
            let after = Python::attach(|py| span(py, "after", Some(after)))?.unwrap_or_default();
            Ok(Postpone(tasks::Finish { lease: task.0, outcome: tasks::Outcome::Snooze { after } }))
        }
    }
}

options! {
    /// What a failure says beside its error.
    FailOptions { retryable: bool, retry_after: Span, results: Py<PyAny>, usage: Py<PyAny>, default: Py<PyAny> }
}

impl FailOptions {
    /// The error as text, whatever it is: an exception counts with its message.
    pub(crate) fn failure(
        self,
        error: &Bound<'_, PyAny>,
        default: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Failure> {
        let py = error.py();
        let default = self.default.as_ref().map(|default| default.bind(py)).or(default);
        let results = self.results.as_ref().map(|results| results.bind(py));
        Ok(Failure {
            retryable: self.retryable.unwrap_or(true),
            retry_after: span(py, "retry_after", self.retry_after)?,
            results: json::write_results(results, default)?,
            usage: usage(self.usage.as_ref().map(|usage| usage.bind(py)))?,
            ..Failure::new(error.str()?.to_string_lossy())
        })
    }
}

/// A Complete, Fail, Release or Postpone.
pub(crate) struct FinishArg(pub(crate) tasks::Finish);

impl<'py> FromPyObject<'_, 'py> for FinishArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let finish = if let Ok(complete) = value.cast::<Complete>() {
            &complete.get().0
        } else if let Ok(fail) = value.cast::<Fail>() {
            &fail.get().0
        } else if let Ok(release) = value.cast::<Release>() {
            &release.get().0
        } else if let Ok(postpone) = value.cast::<Postpone>() {
            &postpone.get().0
        } else {
            return Err(crate::args::wrong(value, "a Complete, a Fail, a Release or a Postpone"));
        };
        Ok(FinishArg(finish.clone()))
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Complete>()?;
    module.add_class::<Fail>()?;
    module.add_class::<Release>()?;
    module.add_class::<Postpone>()
}
