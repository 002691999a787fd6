//! A call's options: one dict, each entry of which is looked at once. What is None counts as left out.

use crate::{args, json};
use pyo3::{
    exceptions::{PyRuntimeError, PyTypeError},
    prelude::*,
    types::{PyDict, PyString},
};

/// A struct that is read from a dict of its fields, each of them optional.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident { $($field:ident $(as $python:literal)?: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(crate) struct $name {
            $(pub(crate) $field: Option<$type>,)+
        }

        impl $name {
            pub(crate) fn of(given: &pyo3::Bound<'_, pyo3::types::PyDict>) -> pyo3::PyResult<Self> {
                let mut options = $name::default();
                crate::options::each(given, |name, value| {
                    match name {
                        $($crate::options::options!(@name $field $($python)?) => {
                            options.$field = Some(crate::options::field(name, value)?);
                        })+
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
                Ok(options)
            }
        }

        /// Of an option that has options of its own.
        impl pyo3::FromPyObject<'_, '_> for $name {
            type Error = pyo3::PyErr;

            fn extract(given: pyo3::Borrowed<'_, '_, pyo3::PyAny>) -> pyo3::PyResult<Self> {
                $name::of(&*given.cast()?)
            }
        }
    };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $python:literal) => { $python };
}
pub(crate) use options;

/// `set` answers whether it knows the name.
pub(crate) fn each<'py>(
    given: &Bound<'py, PyDict>,
    mut set: impl FnMut(&str, &Bound<'py, PyAny>) -> PyResult<bool>,
) -> PyResult<()> {
    each_given(given, |name, value| Ok(value.is_none() || set(name, value)?))
}

/// The same where None says something.
pub(crate) fn each_given<'py>(
    given: &Bound<'py, PyDict>,
    mut set: impl FnMut(&str, &Bound<'py, PyAny>) -> PyResult<bool>,
) -> PyResult<()> {
    for entry in json::entries(given) {
        let (name, value) = entry
            .map_err(|json::Changed| PyRuntimeError::new_err("the options changed while they were read"))?;
        let text = name.cast::<PyString>()?.to_str();
        let name = text.map_err(|error| args::no_text(name.as_borrowed(), error))?;
        if !set(name, &value)? {
            return Err(PyTypeError::new_err(format!("there is no option '{name}'")));
        }
    }
    Ok(())
}

/// A TypeError names the argument, as that of a parameter does.
pub(crate) fn field<'a, 'py, T: FromPyObject<'a, 'py>>(
    name: &str,
    value: &'a Bound<'py, PyAny>,
) -> PyResult<T> {
    value.extract().map_err(|error: T::Error| {
        let (error, py): (PyErr, _) = (error.into(), value.py());
        if error.is_instance_of::<PyTypeError>(py) {
            PyTypeError::new_err(format!("argument '{name}': {}", error.value(py)))
        } else {
            args::no_text_of(name, value.as_borrowed(), error)
        }
    })
}
