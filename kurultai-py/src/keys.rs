//! Who this process speaks for, and the room `keys`.

use crate::{
    args::{Names, Text, Time, wrong},
    errors::Raise,
    op::{Answer, Op},
    options::options,
    runtime::ForkSafe,
    view::view,
};
use kurultai_core::messages::{
    self, Ed25519Key, Identity as CoreIdentity, KeyImport, Keys as CoreKeys, MessageSigner,
};
use pyo3::{exceptions::PyTypeError, prelude::*, types::PyDict};
use std::{path::PathBuf, sync::Arc};

view! {
    /// What a team knows of a key: never its secret.
    AgentKey of messages::AgentKey {
        agent_id, key_id, algorithm, state, created_at, activated_at, expires_at, public_key, secret as "wrapping_key", reason,
    }

    /// What it may be used for at that time.
    fn state_at(&self, py: Python<'_>, at: Time) -> PyResult<&'static str> {
        Ok(self.inner.state_at(at.named(py, "at")?).as_str())
    }
}

/// An agent and its secret key, which nothing shows: whoever has it can sign as that agent.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct Identity(pub(crate) Arc<Ed25519Key>);

impl Identity {
    fn core(&self) -> kurultai_core::Result<CoreIdentity> {
        CoreIdentity::new(self.0.agent(), self.0.clone())
    }
}

#[pymethods]
impl Identity {
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ed25519Key::read(path).map(Self::from).raise(py)
    }

    #[staticmethod]
    fn env(py: Python<'_>, agent: Text) -> PyResult<Self> {
        Ed25519Key::from_env(&agent).map(Self::from).raise(py)
    }

    #[staticmethod]
    fn generate(py: Python<'_>, agent: Text) -> PyResult<Self> {
        Ed25519Key::generate(&agent).map(Self::from).raise(py)
    }

    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.0.write(path).raise(py)
    }

    #[getter]
    fn agent(&self) -> &str {
        self.0.agent()
    }

    #[getter]
    fn key_id(&self) -> &str {
        self.0.key_id()
    }

    #[getter]
    fn public_key(&self) -> String {
        self.0.public_key().to_string()
    }

    fn __repr__(&self) -> String {
        format!("Identity({:?}, key_id={:?})", self.0.agent(), self.0.key_id())
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// The secret is in memory once.
    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__(&self) -> PyResult<()> {
        let message =
            "an Identity is not pickled: its secret stays in this process; give the other one the key file";
        Err(PyTypeError::new_err(message))
    }
}

impl From<Ed25519Key> for Identity {
    fn from(key: Ed25519Key) -> Self {
        Identity(Arc::new(key))
    }
}

impl Answer for Ed25519Key {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(Py::new(py, Identity::from(self))?.into_any())
    }
}

/// The key of a team's keys, which nothing shows.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct WrappingKey(Arc<messages::wrap::WrappingKey>);

#[pymethods]
impl WrappingKey {
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        messages::wrap::WrappingKey::read(path).map(Self::from).raise(py)
    }

    #[staticmethod]
    fn generate(py: Python<'_>) -> PyResult<Self> {
        messages::wrap::WrappingKey::generate().map(Self::from).raise(py)
    }

    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.0.write(path).raise(py)
    }

    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    fn __repr__(&self) -> String {
        format!("WrappingKey(id={:?})", self.0.id())
    }

    fn __copy__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "a WrappingKey is not pickled: it stays in this process; give the other one its file",
        ))
    }
}

impl From<messages::wrap::WrappingKey> for WrappingKey {
    fn from(key: messages::wrap::WrappingKey) -> Self {
        WrappingKey(Arc::new(key))
    }
}

const WRAPPING_KEYS: &str = "a WrappingKey, the path of its file, or a list of them";

/// One of them.
pub(crate) struct WrappingKeyArg(Arc<messages::wrap::WrappingKey>);

impl<'py> FromPyObject<'_, 'py> for WrappingKeyArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(key) = value.cast::<WrappingKey>() {
            return Ok(WrappingKeyArg(key.get().0.clone()));
        }
        let path = value.extract::<PathBuf>().map_err(|_| wrong(value, WRAPPING_KEYS))?;
        WrappingKey::read(value.py(), path).map(|key| WrappingKeyArg(key.0))
    }
}

/// One, or several, of which the first wraps.
pub(crate) struct WrappingKeys(pub(crate) Vec<Arc<messages::wrap::WrappingKey>>);

impl<'py> FromPyObject<'_, 'py> for WrappingKeys {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let is_one = value.cast::<WrappingKey>().is_ok() || value.extract::<PathBuf>().is_ok();
        if is_one {
            return WrappingKeyArg::extract(value).map(|key| WrappingKeys(vec![key.0]));
        }
        let all = value.try_iter().map_err(|_| wrong(value, WRAPPING_KEYS))?;
        let each = all.map(|one| WrappingKeyArg::extract(one?.as_borrowed()).map(|key| key.0));
        each.collect::<PyResult<_>>().map(WrappingKeys)
    }
}

view! {
    /// A row that was not imported.
    SkippedKey of messages::SkippedKey { agent_id, key_id, code, why }
}

view! {
    /// What was imported, and what was not.
    ImportedKeys of messages::ImportedKeys { dry_run, imported, skipped }
}

options! {
    ImportOptions { rows: String, agents: Names, dry_run: bool }
}

const IDENTITIES: &str = "an Identity, the path of a key file, or a list of them";

/// An Identity, the path of a key file, or a list of them.
pub(crate) struct Identities(pub(crate) Vec<CoreIdentity>);

impl<'py> FromPyObject<'_, 'py> for Identities {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Some(one) = identity(value)? {
            return Ok(Identities(vec![one]));
        }
        let all = value.try_iter().map_err(|_| wrong(value, IDENTITIES))?;
        let each = all.map(|one| {
            let one = one?;
            identity(one.as_borrowed())?.ok_or_else(|| wrong(one.as_borrowed(), IDENTITIES))
        });
        each.collect::<PyResult<_>>().map(Identities)
    }
}

fn identity(value: Borrowed<'_, '_, PyAny>) -> PyResult<Option<CoreIdentity>> {
    let py = value.py();
    if let Ok(identity) = value.cast::<Identity>() {
        return identity.get().core().raise(py).map(Some);
    }
    match value.extract::<PathBuf>() {
        Ok(path) => CoreIdentity::read(path).raise(py).map(Some),
        Err(_) => Ok(None),
    }
}

#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Keys(ForkSafe<CoreKeys>);

impl Keys {
    pub(crate) fn new(core: CoreKeys) -> Self {
        Keys(ForkSafe::new(core))
    }
}

#[pymethods]
impl Keys {
    fn list(&self, agent: Option<Text>) -> Op {
        let keys = self.0.clone();
        Op::new(async move { keys.list(agent.as_deref()).await })
    }

    fn rotate(&self, agent: Text) -> Op {
        let keys = self.0.clone();
        Op::new(async move { keys.rotate(&agent).await })
    }

    fn rotate_in_store(&self, agent: Text) -> Op {
        let keys = self.0.clone();
        Op::new(async move { keys.rotate_in_store(&agent).await })
    }

    fn rewrap(&self, to: WrappingKeyArg) -> Op {
        let keys = self.0.clone();
        Op::new(async move { keys.rewrap(to.0).await })
    }

    fn import_rows(&self, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let ImportOptions { rows, agents, dry_run } = ImportOptions::of(options)?;
        let import = KeyImport {
            rows: rows.map(Into::into),
            agents: agents.map(|names| names.0),
            dry_run: dry_run.unwrap_or_default(),
        };
        let keys = self.0.clone();
        Ok(Op::new(async move { keys.import_rows(import).await }))
    }

    fn add(&self, agent: Text, public_key: Text) -> Op {
        let keys = self.0.clone();
        Op::new(async move { keys.add(&agent, &public_key).await })
    }

    fn revoke(&self, agent: Text, key_id: Text, reason: Text) -> Op {
        let keys = self.0.clone();
        Op::new(async move { keys.revoke(&agent, &key_id, &reason).await })
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Identity>()?;
    module.add_class::<WrappingKey>()?;
    module.add_class::<AgentKey>()?;
    module.add_class::<SkippedKey>()?;
    module.add_class::<ImportedKeys>()?;
    module.add_class::<Keys>()
}
