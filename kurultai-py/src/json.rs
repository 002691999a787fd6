//! Python values as JSON text and back. What cannot be read back equal is refused with its path; only tuples change,
//! into lists.

use crate::errors;
use kurultai_core::{
    Error, Json,
    json::{MAX_BYTES, MAX_DEPTH},
};
use pyo3::{
    exceptions::PyStopIteration,
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType},
};
use serde::Serialize;

/// A value as JSON. `default` is asked for what JSON has no form for; dataclasses and pydantic models need none.
pub(crate) fn write(value: &Bound<'_, PyAny>, default: Option<&Bound<'_, PyAny>>) -> PyResult<Json> {
    write_as("payload", value, default)
}

/// [`write`] of what errors call by this name.
pub(crate) fn write_as(
    what: &'static str,
    value: &Bound<'_, PyAny>,
    default: Option<&Bound<'_, PyAny>>,
) -> PyResult<Json> {
    let mut writer = Writer { text: Vec::with_capacity(256), default };
    writer.value(value, &Place { above: None, step: Step::Root(what), object: value, depth: 0 })?;
    let text = String::from_utf8(writer.text).expect("whole texts were written");
    Ok(Json::stored(text))
}

/// What an attempt achieved; `None` means that there is nothing.
pub(crate) fn write_results(
    value: Option<&Bound<'_, PyAny>>,
    default: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Json>> {
    value.map(|value| write_as("results", value, default)).transpose()
}

struct Writer<'a, 'py> {
    text: Vec<u8>,
    default: Option<&'a Bound<'py, PyAny>>,
}

/// Where the writer stands, from the value up to the root.
struct Place<'a, 'py> {
    above: Option<&'a Place<'a, 'py>>,
    step: Step<'a>,
    object: &'a Bound<'py, PyAny>,
    /// How many containers are around it.
    depth: usize,
}

enum Step<'a> {
    /// What the whole is called.
    Root(&'static str),
    Key(&'a str),
    Index(usize),
    /// What a hook made of the object above: the same place.
    Instead,
}

impl<'py> Place<'_, 'py> {
    fn path(&self) -> String {
        let above = self.above.map(Place::path).unwrap_or_default();
        match self.step {
            Step::Root(_) => "$".to_owned(),
            Step::Key(key) if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_') => {
                format!("{above}.{key}")
            }
            Step::Key(key) => format!("{above}[{key:?}]"),
            Step::Index(index) => format!("{above}[{index}]"),
            Step::Instead => above,
        }
    }

    fn refuse(&self, why: impl std::fmt::Display) -> PyErr {
        let root = std::iter::successors(Some(self), |place| place.above).last();
        let what =
            root.map_or("payload", |root| if let Step::Root(what) = root.step { what } else { "payload" });
        errors::raised(self.object.py(), Error::payload(&self.path(), why).about(what))
    }

    /// Too deep: by a circle, named where it closes, or truly.
    fn refuse_depth(&self) -> PyErr {
        let mut line: Vec<&Place<'_, 'py>> = std::iter::successors(Some(self), |place| place.above).collect();
        line.reverse();
        for (at, place) in line.iter().enumerate() {
            if let Some(first) = line[..at].iter().find(|above| above.object.is(place.object)) {
                return place.refuse(format!("it contains itself: the same object is at {}", first.path()));
            }
        }
        self.refuse(format!("deeper than {MAX_DEPTH} levels"))
    }
}

impl<'py> Writer<'_, 'py> {
    fn value(&mut self, value: &Bound<'py, PyAny>, place: &Place<'_, 'py>) -> PyResult<()> {
        if let Ok(text) = value.cast::<PyString>() {
            self.leaf(text.to_str().map_err(|_| place.refuse(SURROGATE))?);
        } else if let Ok(object) = value.cast::<PyDict>() {
            self.object(object, place)?;
        } else if value.is_none() {
            self.leaf(&());
        } else if let Ok(flag) = value.cast::<PyBool>() {
            self.leaf(&flag.is_true());
        } else if let Ok(number) = value.cast::<PyInt>() {
            self.integer(number, place)?;
        } else if let Ok(number) = value.cast::<PyFloat>() {
            let number = number.value();
            if !number.is_finite() {
                return Err(place.refuse(format!("{number} is no JSON number; use None")));
            }
            self.leaf(&number);
        } else if let Ok(list) = value.cast::<PyList>() {
            self.array(list.iter(), place)?;
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.array(tuple.iter(), place)?;
        } else {
            self.other(value, place)?;
        }
        self.fits(place)
    }

    fn object(&mut self, object: &Bound<'py, PyDict>, place: &Place<'_, 'py>) -> PyResult<()> {
        let depth = self.deeper(place)?;
        self.text.push(b'{');
        for (index, entry) in entries(object).enumerate() {
            let (key, value) =
                entry.map_err(|Changed| place.refuse("a hook has changed its size while it was read"))?;
            let Ok(key) = key.cast::<PyString>() else {
                let why = format!("the key {} is no str", shown(&key));
                return Err(place.refuse(why));
            };
            let key = key.to_str().map_err(|_| place.refuse(SURROGATE))?;
            if index > 0 {
                self.text.push(b',');
            }
            self.leaf(key);
            self.text.push(b':');
            self.value(&value, &Place { above: Some(place), step: Step::Key(key), object: &value, depth })?;
        }
        self.text.push(b'}');
        Ok(())
    }

    fn array(
        &mut self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        place: &Place<'_, 'py>,
    ) -> PyResult<()> {
        let depth = self.deeper(place)?;
        self.text.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.text.push(b',');
            }
            self.value(&item, &Place { above: Some(place), step: Step::Index(index), object: &item, depth })?;
        }
        self.text.push(b']');
        Ok(())
    }

    fn deeper(&self, place: &Place<'_, 'py>) -> PyResult<usize> {
        if place.depth == MAX_DEPTH { Err(place.refuse_depth()) } else { Ok(place.depth + 1) }
    }

    fn integer(&mut self, number: &Bound<'py, PyInt>, place: &Place<'_, 'py>) -> PyResult<()> {
        match number.extract::<i64>() {
            Ok(number) => self.leaf(&number),
            Err(_) => {
                // The digits of the number itself, whatever a subclass prints.
                let digits =
                    number.py().get_type::<PyInt>().call_method1(intern!(number.py(), "__repr__"), (number,));
                let digits = digits.map_err(|_| place.refuse("an integer of more than 4300 digits"))?;
                self.text.extend(digits.cast::<PyString>()?.to_str()?.as_bytes());
            }
        }
        Ok(())
    }

    /// What JSON has no form for.
    fn other(&mut self, value: &Bound<'py, PyAny>, place: &Place<'_, 'py>) -> PyResult<()> {
        let Some(instead) = self.instead(value)? else {
            let class = value.get_type().name()?;
            return Err(
                place.refuse(format!("{class} is no JSON value; {}", advice(&class.to_string_lossy())))
            );
        };
        let depth = place.depth;
        let hooks = std::iter::successors(Some(place), |place| place.above)
            .take_while(|place| matches!(place.step, Step::Instead));
        if hooks.count() > 16 {
            return Err(place.refuse("default keeps answering with what is no JSON value"));
        }
        self.value(&instead, &Place { above: Some(place), step: Step::Instead, object: &instead, depth })
    }

    fn instead(&self, value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = value.py();
        if value.is_instance_of::<PyType>() {
            return Ok(None);
        }
        let class = value.get_type();
        if class.hasattr(intern!(py, "model_dump"))? {
            let options = PyDict::new(py);
            options.set_item("mode", "json")?;
            return value.call_method("model_dump", (), Some(&options)).map(Some);
        }
        if let Ok(fields) = class.getattr(intern!(py, "__dataclass_fields__")) {
            let object = PyDict::new(py);
            for name in fields.cast::<PyDict>()?.keys() {
                object.set_item(&name, value.getattr(name.cast::<PyString>()?)?)?;
            }
            return Ok(Some(object.into_any()));
        }
        self.default.map(|default| default.call1((value,))).transpose()
    }

    fn leaf(&mut self, value: &(impl Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.text, value).expect("a string or a number is JSON");
    }

    /// A text that has become too long is given up where that was.
    fn fits(&self, place: &Place<'_, 'py>) -> PyResult<()> {
        if self.text.len() <= MAX_BYTES {
            return Ok(());
        }
        Err(place
            .refuse(format!("the JSON text is longer than {MAX_BYTES} bytes here; store a reference to it")))
    }
}

/// The size of a dict is not what it was.
pub(crate) struct Changed;

type Entry<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// What a dict has. The caller's own code may run between two entries and change its size; to go on would be a panic.
pub(crate) fn entries<'py>(dict: &Bound<'py, PyDict>) -> impl Iterator<Item = Result<Entry<'py>, Changed>> {
    let length = dict.len();
    let mut entries = dict.iter().take(length);
    std::iter::from_fn(move || if dict.len() == length { entries.next().map(Ok) } else { Some(Err(Changed)) })
}

const SURROGATE: &str = "a lone surrogate has no UTF-8 form";

fn shown(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(
        |_| "of an unknown kind".to_owned(),
        |repr| repr.to_string_lossy().chars().take(80).collect(),
    )
}

fn advice(class: &str) -> &'static str {
    match class {
        "datetime" | "date" | "time" => "give its isoformat(), or a default= hook",
        "bytes" | "bytearray" | "memoryview" => "decode it, or store a reference to it",
        "set" | "frozenset" => "give a list",
        _ => "give a dict, a dataclass, a pydantic model, or a default= hook",
    }
}

/// `json.decoder.JSONDecoder().scan_once`: the C scanner without the two Python functions around it.
static SCAN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// JSON text as a Python value. Text of another program that is no JSON comes as a string.
pub(crate) fn read(py: Python<'_>, json: &Json) -> PyResult<Py<PyAny>> {
    match json.as_str() {
        "null" => return Ok(py.None()),
        "{}" => return Ok(PyDict::new(py).into_any().unbind()),
        _ => {}
    }
    let scan = SCAN.get_or_try_init(py, || {
        py.import("json")?.getattr("JSONDecoder")?.call0()?.getattr("scan_once").map(Bound::unbind)
    })?;
    let text = PyString::new(py, json.as_str());
    match scan.bind(py).call1((&text, 0)) {
        Ok(read) => {
            let (value, end): (Bound<'_, PyAny>, usize) = read.extract()?;
            if end == text.code_point_len()? { Ok(value.unbind()) } else { Ok(loads(&text)) }
        }
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => Ok(loads(&text)),
        Err(_) => Ok(text.into_any().unbind()),
    }
}

/// For text with spaces around it.
fn loads(text: &Bound<'_, PyString>) -> Py<PyAny> {
    let read = text.py().import("json").and_then(|json| json.call_method1("loads", (text,)));
    read.map_or_else(|_| text.clone().into_any().unbind(), Bound::unbind)
}
