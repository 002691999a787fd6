//! Frozen classes around the core's results. A field becomes a Python object when it is first looked at, and then
//! stays the same object: a batch of tasks costs nothing for what nobody reads.

use crate::{json, op::Answer};
use chrono::{DateTime, Utc};
use kurultai_core::{
    Json, Result,
    agents::{AgentStatus, FailoverStatus, Health, Trigger},
    cycle::Attention,
    events::{AlertState, Severity},
    messages::{Algorithm, KeyState, MessageStatus, PublicKey, Recipient, wrap::Wrapped},
    schedules::{CatchUp, Overlap},
    tasks::{DependencyType, FailureKind, FindingKind, Priority, Signal, Status},
    worker::Stop,
};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList, PyString},
};
use std::{collections::BTreeMap, time::Duration};

/// A value of the core as a Python object.
pub(crate) trait Show {
    /// What type it has there, as an annotation.
    fn annotation() -> String;

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

macro_rules! by_pyo3 {
    ($($kind:ty as $python:literal),+) => {
        $(impl Show for $kind {
            fn annotation() -> String {
                $python.to_owned()
            }

            fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                Ok(self.into_pyobject(py)?.to_owned().into_any().unbind())
            }
        })+
    };
}
by_pyo3!(
    bool as "bool", u8 as "int", u32 as "int", u64 as "int", i64 as "int", f64 as "float", String as "str",
    DateTime<Utc> as "datetime"
);

macro_rules! by_word {
    ($($kind:ty),+) => {
        $(impl Show for $kind {
            fn annotation() -> String {
                let words: Vec<String> = <$kind>::ALL.iter().map(|word| format!("{:?}", word.as_str())).collect();
                format!("Literal[{}]", words.join(", "))
            }

            fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                Ok(PyString::intern(py, self.as_str()).into_any().unbind())
            }
        })+
    };
}
by_word!(
    Status,
    Priority,
    Signal,
    DependencyType,
    AgentStatus,
    FailureKind,
    FindingKind,
    Stop,
    Health,
    MessageStatus,
    Recipient,
    Algorithm,
    KeyState,
    Trigger,
    FailoverStatus,
    Severity,
    AlertState,
    CatchUp,
    Overlap,
    Attention
);

/// Seconds.
impl Show for Duration {
    fn annotation() -> String {
        f64::annotation()
    }

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.as_secs_f64().show(py)
    }
}

impl Show for PublicKey {
    fn annotation() -> String {
        String::annotation()
    }

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.to_string().show(py)
    }
}

/// The id of the key that wraps it, which is all that is shown of it.
impl Show for Wrapped {
    fn annotation() -> String {
        String::annotation()
    }

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.wrapping_key().to_owned().show(py)
    }
}

impl Show for Json {
    fn annotation() -> String {
        "Any".to_owned()
    }

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        json::read(py, self)
    }
}

impl<T: Show> Show for Option<T> {
    fn annotation() -> String {
        match T::annotation() {
            any if any == "Any" => any,
            some => format!("{some} | None"),
        }
    }

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.as_ref().map_or_else(|| Ok(py.None()), |value| value.show(py))
    }
}

impl<T: Show> Show for Vec<T> {
    fn annotation() -> String {
        format!("list[{}]", T::annotation())
    }

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let items: Vec<Py<PyAny>> = self.iter().map(|item| item.show(py)).collect::<PyResult<_>>()?;
        Ok(PyList::new(py, items)?.into_any().unbind())
    }
}

impl Show for BTreeMap<Status, u64> {
    fn annotation() -> String {
        format!("dict[{}, int]", Status::annotation())
    }

    fn show(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let dict = PyDict::new(py);
        for (status, count) in self {
            dict.set_item(status.as_str(), count)?;
        }
        Ok(dict.into_any().unbind())
    }
}

/// A class that shows a struct of the core, every field of it: one that is added there fails the build here.
macro_rules! view {
    (
        $(#[$doc:meta])*
        $name:ident of $core:path { $($field:ident $(as $python:literal)?),+ $(,)? }
        $($extra:tt)*
    ) => {
        $(#[$doc])*
        #[pyo3::pyclass(frozen, module = "kurultai")]
        pub(crate) struct $name {
            pub(crate) inner: $core,
            $($field: pyo3::sync::PyOnceLock<pyo3::Py<pyo3::PyAny>>,)+
        }

        impl From<$core> for $name {
            fn from(inner: $core) -> Self {
                let $core { $($field: _,)+ } = &inner;
                $name { inner, $($field: pyo3::sync::PyOnceLock::new(),)+ }
            }
        }

        impl $name {
            pub(crate) fn boxed(self, py: pyo3::Python<'_>) -> pyo3::PyResult<pyo3::Py<pyo3::PyAny>> {
                Ok(pyo3::Py::new(py, self)?.into_any())
            }
        }

        #[allow(clippy::wrong_self_convention, reason = "a field is called as it is, also `from_agent`")]
        #[pyo3::pymethods]
        impl $name {
            $(
                #[getter]
                $(#[pyo3(name = $python)])?
                fn $field(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<pyo3::Py<pyo3::PyAny>> {
                    let shown = self.$field.get_or_try_init(py, || crate::view::Show::show(&self.inner.$field, py));
                    Ok(shown?.clone_ref(py))
                }
            )+

            /// A test holds `_native.pyi` against it.
            #[classattr]
            fn __annotations__() -> std::collections::BTreeMap<&'static str, String> {
                [$((
                    crate::view::view!(@name $field $($python)?),
                    crate::view::annotation(|inner: &$core| &inner.$field),
                )),+].into()
            }

            #[classattr]
            fn __match_args__() -> &'static [&'static str] {
                &[$(crate::view::view!(@name $field $($python)?)),+]
            }

            fn __repr__(slf: &pyo3::Bound<'_, Self>) -> pyo3::PyResult<String> {
                let fields: &[&str] = &[$(crate::view::view!(@name $field $($python)?)),+];
                crate::view::repr(slf.as_any(), fields)
            }

            /// Its fields as a dict, and theirs; a lease is its string.
            fn to_dict(slf: &pyo3::Bound<'_, Self>) -> pyo3::PyResult<pyo3::Py<pyo3::types::PyDict>> {
                let fields: &[&str] = &[$(crate::view::view!(@name $field $($python)?)),+];
                crate::copies::to_dict(slf.as_any(), fields)
            }

            fn __copy__(slf: pyo3::Py<Self>) -> pyo3::Py<Self> {
                slf
            }

            /// What was looked at is read anew: a payload that is changed in one is not changed in the other.
            fn __deepcopy__(&self, _memo: &pyo3::Bound<'_, pyo3::PyAny>) -> Self {
                $name::from(self.inner.clone())
            }

            fn __reduce__<'py>(
                &self,
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<(pyo3::Bound<'py, pyo3::PyAny>, (&'static str, String))> {
                let text = serde_json::to_string(&self.inner).map_err(crate::copies::unreadable)?;
                Ok((crate::copies::restorer(py)?, (stringify!($name), text)))
            }

            fn __eq__(&self, other: &pyo3::Bound<'_, pyo3::PyAny>) -> bool {
                other.cast::<Self>().is_ok_and(|other| other.get().inner == self.inner)
            }

            $($extra)*
        }

        impl crate::view::Show for $core {
            fn annotation() -> String {
                stringify!($name).to_owned()
            }

            fn show(&self, py: pyo3::Python<'_>) -> pyo3::PyResult<pyo3::Py<pyo3::PyAny>> {
                $name::from(self.clone()).boxed(py)
            }
        }

        impl crate::op::Answer for $core {
            fn give(self, py: pyo3::Python<'_>) -> pyo3::PyResult<pyo3::Py<pyo3::PyAny>> {
                $name::from(self).boxed(py)
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $python:literal) => { $python };
}
pub(crate) use view;

/// Of a field.
pub(crate) fn annotation<C, T: Show>(_: impl Fn(&C) -> &T) -> String {
    T::annotation()
}

/// `Task(id='..', type='review', ..)`; what is None is left out.
pub(crate) fn repr(object: &Bound<'_, PyAny>, fields: &[&str]) -> PyResult<String> {
    let mut parts = Vec::with_capacity(fields.len());
    for field in fields {
        let value = object.getattr(*field)?;
        if !value.is_none() {
            parts.push(format!("{field}={}", value.repr()?.to_string_lossy()));
        }
    }
    Ok(format!("{}({})", object.get_type().name()?, parts.join(", ")))
}

macro_rules! answer_by_show {
    ($($kind:ty),+) => {
        $(impl Answer for $kind {
            fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
                self.show(py)
            }
        })+
    };
}
answer_by_show!(bool, i64, u64, f64, String, Status);

impl Answer for usize {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.into_any().unbind())
    }
}

impl Answer for () {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let items: Vec<_> = self.into_iter().map(|item| item.give(py)).collect::<PyResult<_>>()?;
        Ok(PyList::new(py, items)?.into_any().unbind())
    }
}

impl<T: Answer> Answer for Option<T> {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.map_or_else(|| Ok(py.None()), |value| value.give(py))
    }
}

/// Each item's own answer: a refused one is its error, as a value.
impl<T: Answer> Answer for Result<T> {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Ok(value) => value.give(py),
            Err(error) => crate::errors::value(py, &error),
        }
    }
}
