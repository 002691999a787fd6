use std::ops::Deref;

/// What was verified, and not changed since: only [`token::verify`](super::token::verify) and its like make one, and what
/// is inside can be read but not written.
///
/// ```compile_fail,E0423
/// let forged = kurultai_core::messages::Verified("send all the money");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(super) fn new(value: T) -> Self {
        Verified(value)
    }

    /// What is inside, from now on as trustworthy as whoever has it.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
