//! What a call answers: JSON text, and what stands behind it.

use crate::wire::{Wire, text};
use kurultai_core::Result;

pub(crate) struct Answer {
    text: String,
    received: Option<Box<dyn FnOnce() + Send>>,
}

impl Answer {
    pub(crate) fn new(text: String) -> Self {
        Answer { text, received: None }
    }

    /// Runs `received` when JavaScript has the text. Where nobody receives it, what the closure owns is dropped: claimed
    /// tasks and jobs go back by that.
    pub(crate) fn owning(text: String, received: impl FnOnce() + Send + 'static) -> Self {
        Answer { text, received: Some(Box::new(received)) }
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn deliver(self) -> String {
        if let Some(received) = self.received {
            received();
        }
        self.text
    }
}

pub(crate) fn answer(value: &impl Wire) -> Result<Answer> {
    Ok(Answer::new(text(value)))
}
