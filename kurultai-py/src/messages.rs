//! The room `messages`.

use crate::{
    agents::UnderArg,
    args::{Count, Names, Span, TaskId, Text, count, span, wrong},
    errors::Raise,
    json,
    op::{Answer, Op},
    options::options,
    runtime::ForkSafe,
    task_types::hash,
    view::view,
};
use kurultai_core::messages::{self, Accept, Inbox, MessageFilter, Messages as CoreMessages};
use pyo3::{
    intern,
    prelude::*,
    types::{PyDict, PyIterator, PyList, PyString},
};

view! {
    /// A message as its recipient gets it. What it says is what its signature covers.
    AgentMessage of messages::AgentMessage {
        id, sender, to, message_type as "type", body, task_id, reply_to, thread, urgent, status, delivery, code,
        created_at, expires_at, verified,
    }

    /// With what this delivery of it is ended.
    #[getter]
    fn receipt(&self) -> Receipt {
        self.inner.receipt().into()
    }

    fn __hash__(&self) -> u64 {
        hash(&self.inner.id)
    }
}

view! {
    /// One delivery of a message. `str(receipt)` is its one-string form.
    Receipt of messages::Receipt { id, delivery }

    #[staticmethod]
    fn parse(py: Python<'_>, text: Text) -> PyResult<Self> {
        text.parse::<messages::Receipt>().raise(py).map(Self::from)
    }

    fn __str__(&self) -> String {
        self.inner.to_string()
    }

    fn __hash__(&self) -> u64 {
        hash(&self.inner)
    }
}

view! {
    /// Who signed, as it was verified when the message was read.
    Signer of messages::Signer { agent, key_id, version }
}

view! {
    /// What became of a message that was sent.
    Sent of messages::Sent { id, deduplicated, recipient }

    fn __str__(&self) -> &str {
        &self.inner.id
    }

    fn __hash__(&self) -> u64 {
        hash(&self.inner.id)
    }
}

view! {
    /// How a message stands after its delivery has ended.
    Settled of messages::Settled { id, status, repeated }
}

view! {
    /// What waits for an agent.
    Unread of messages::Unread { count, urgent }
}

/// A part of a list.
#[pyclass(frozen, get_all, module = "kurultai")]
pub(crate) struct MessagePage {
    messages: Py<PyList>,
    next: Option<String>,
}

#[pymethods]
impl MessagePage {
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.messages.bind(py).try_iter()
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.messages.bind(py).len()
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        crate::view::repr(slf.as_any(), &["messages", "next"])
    }
}

impl Answer for messages::MessagePage {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let messages::MessagePage { messages, next } = self;
        let messages = messages.give(py)?.into_bound(py).cast_into::<PyList>()?.unbind();
        Ok(Py::new(py, MessagePage { messages, next })?.into_any())
    }
}

/// A message's id, or something that has it.
pub(crate) struct MessageId(pub(crate) String);

impl<'py> FromPyObject<'_, 'py> for MessageId {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyString>() {
            return Ok(MessageId(value.extract::<Text>()?.into()));
        }
        let id = value.getattr(intern!(value.py(), "id")).and_then(|id| id.extract());
        id.map(MessageId).map_err(|_| wrong(value, "a message or its id"))
    }
}

/// A message, its receipt, something that has one, or the receipt's one-string form.
struct ReceiptArg(messages::Receipt);

impl<'py> FromPyObject<'_, 'py> for ReceiptArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(message) = value.cast::<AgentMessage>() {
            return Ok(ReceiptArg(message.get().inner.receipt()));
        }
        if let Ok(receipt) = value.cast::<Receipt>() {
            return Ok(ReceiptArg(receipt.get().inner.clone()));
        }
        if value.is_instance_of::<PyString>() {
            return value.extract::<Text>()?.parse().map(ReceiptArg).raise(value.py());
        }
        let receipt = value.getattr(intern!(value.py(), "receipt"));
        let receipt = receipt.and_then(|receipt| Ok(receipt.cast::<Receipt>()?.get().inner.clone()));
        receipt.map(ReceiptArg).map_err(|_| wrong(value, "a message, its receipt, or a receipt string"))
    }
}

options! {
    MessageFields {
        to: String, message_type as "type": String, body: Py<PyAny>, sender: String, task: TaskId, reply_to: MessageId,
        dedupe_key: String, ttl: Span, urgent: bool, default: Py<PyAny>,
    }
}

impl MessageFields {
    fn message(self, default: Option<&Bound<'_, PyAny>>, py: Python<'_>) -> PyResult<messages::NewMessage> {
        let default = self.default.as_ref().map(|default| default.bind(py)).or(default);
        let body = self.body.map(|body| json::write_as("body", body.bind(py), default)).transpose()?;
        Ok(messages::NewMessage {
            to: self.to.unwrap_or_default(),
            message_type: self.message_type.unwrap_or_default(),
            body: body.unwrap_or_default(),
            sender: self.sender,
            task_id: self.task.map(|task| task.0),
            reply_to: self.reply_to.map(|message| message.0),
            dedupe_key: self.dedupe_key,
            ttl: span(py, "ttl", self.ttl)?,
            urgent: self.urgent.unwrap_or_default(),
        })
    }
}

/// A message to be sent.
#[pyclass(frozen, module = "kurultai")]
pub(crate) struct NewMessage(messages::NewMessage);

#[pymethods]
impl NewMessage {
    #[new]
    #[pyo3(signature = (to, r#type, body = None, **fields), text_signature = "(to, type, body=None, *, sender=None, \
        task=None, reply_to=None, dedupe_key=None, ttl=None, urgent=False, default=None)")]
    fn new(
        py: Python<'_>,
        to: Text,
        r#type: Text,
        body: Option<Py<PyAny>>,
        fields: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut given = fields.map_or_else(|| Ok(MessageFields::default()), MessageFields::of)?;
        (given.to, given.message_type, given.body) = (Some(to.into()), Some(r#type.into()), body);
        given.message(None, py).map(NewMessage)
    }

    #[getter]
    fn to(&self) -> &str {
        &self.0.to
    }

    #[getter]
    fn r#type(&self) -> &str {
        &self.0.message_type
    }

    fn __repr__(&self) -> String {
        let messages::NewMessage { to, message_type, body, .. } = &self.0;
        format!("NewMessage({to:?}, {message_type:?}, {body})")
    }
}

options! {
    InboxOptions { agent: String, max: Count, types: Names, wait: Span, visible: Span }
}

options! {
    FilterOptions { to: String, from: String, limit: Count, cursor: String }
}

#[pyclass(frozen, module = "kurultai._native")]
pub(crate) struct Messages {
    core: ForkSafe<CoreMessages>,
    /// The hook for what JSON has no form for.
    default: Option<Py<PyAny>>,
}

impl Messages {
    pub(crate) fn new(core: CoreMessages, default: Option<Py<PyAny>>) -> Self {
        Messages { core: ForkSafe::new(core), default }
    }

    /// A NewMessage, or a dict of its fields.
    fn message(&self, value: &Bound<'_, PyAny>) -> PyResult<messages::NewMessage> {
        if let Ok(message) = value.cast::<NewMessage>() {
            return Ok(message.get().0.clone());
        }
        let Ok(fields) = value.cast::<PyDict>() else {
            return Err(wrong(value.as_borrowed(), "a NewMessage or a dict of its fields"));
        };
        let py = value.py();
        MessageFields::of(fields)?.message(self.default.as_ref().map(|default| default.bind(py)), py)
    }
}

#[pymethods]
impl Messages {
    /// For who holds a role.
    fn under(&self, py: Python<'_>, term: UnderArg) -> Self {
        Messages {
            core: ForkSafe::new(self.core.under(term.0)),
            default: self.default.as_ref().map(|d| d.clone_ref(py)),
        }
    }

    fn send(&self, message: &Bound<'_, PyAny>) -> PyResult<Op> {
        let (messages, message) = (self.core.clone(), self.message(message)?);
        Ok(Op::new(async move { messages.send(message).await }))
    }

    fn send_many(&self, all: &Bound<'_, PyAny>) -> PyResult<Op> {
        let row = |(index, message): (usize, PyResult<Bound<'_, PyAny>>)| {
            let message = message?;
            self.message(&message)
                .map_err(|error| crate::errors::of(message.py(), &format!("message {index}"), &error))
        };
        let all: Vec<_> = all.try_iter()?.enumerate().map(row).collect::<PyResult<_>>()?;
        let messages = self.core.clone();
        Ok(Op::new(async move { messages.send_many(all).await }))
    }

    fn accept(&self, text: &Bound<'_, PyString>, to: Option<Text>) -> Op {
        // Half of a surrogate pair is in no token, and so is what stands for it then.
        let (messages, text, to) =
            (self.core.clone(), text.to_string_lossy().into_owned(), to.map(Into::into));
        Op::new(async move { messages.accept(Accept { text, to }).await })
    }

    fn inbox(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Op> {
        let (given, usual) = (InboxOptions::of(options)?, Inbox::default());
        let request = Inbox {
            agent: given.agent,
            max: count(py, "max", given.max)?.unwrap_or(usual.max),
            types: given.types.map(|types| types.0),
            wait: span(py, "wait", given.wait)?.unwrap_or(usual.wait),
            visible: span(py, "visible", given.visible)?.unwrap_or(usual.visible),
        };
        let messages = self.core.clone();
        Ok(Op::new(async move { messages.inbox_guarded(request).await }))
    }

    fn ack(&self, receipts: Vec<ReceiptArg>) -> Op {
        let receipts: Vec<_> = receipts.into_iter().map(|receipt| receipt.0).collect();
        let messages = self.core.clone();
        Op::new(async move { messages.ack(&receipts).await })
    }

    fn reject(&self, message: ReceiptArg, reason: Text) -> Op {
        let messages = self.core.clone();
        Op::new(async move { messages.reject(&message.0, &reason).await })
    }

    fn retry(&self, py: Python<'_>, message: ReceiptArg, after: Span) -> PyResult<Op> {
        let (messages, after) = (self.core.clone(), after.named(py, "after")?);
        Ok(Op::new(async move { messages.retry(&message.0, after).await }))
    }

    fn unread(&self, agent: Option<Text>) -> Op {
        let messages = self.core.clone();
        Op::new(async move { messages.unread(agent.as_deref()).await })
    }

    fn thread(&self, id: MessageId) -> Op {
        let messages = self.core.clone();
        Op::new(async move { messages.thread(&id.0).await })
    }

    fn list(&self, py: Python<'_>, filter: &Bound<'_, PyDict>) -> PyResult<Op> {
        let FilterOptions { to, from, limit, cursor } = FilterOptions::of(filter)?;
        let limit = count(py, "limit", limit)?.unwrap_or(MessageFilter::default().limit);
        let (messages, filter) = (self.core.clone(), MessageFilter { to, from, limit, cursor });
        Ok(Op::new(async move { messages.list(filter).await }))
    }

    fn ask(&self, py: Python<'_>, message: &Bound<'_, PyAny>, timeout: Span) -> PyResult<Op> {
        let (messages, message) = (self.core.clone(), self.message(message)?);
        let timeout = timeout.named(py, "timeout")?;
        Ok(Op::new(async move { messages.ask(message, timeout).await }))
    }
}

impl Answer for messages::InboxGuard {
    fn give(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.take().give(py)
    }
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AgentMessage>()?;
    module.add_class::<Receipt>()?;
    module.add_class::<Signer>()?;
    module.add_class::<Sent>()?;
    module.add_class::<Settled>()?;
    module.add_class::<Unread>()?;
    module.add_class::<MessagePage>()?;
    module.add_class::<NewMessage>()?;
    module.add_class::<Messages>()
}
