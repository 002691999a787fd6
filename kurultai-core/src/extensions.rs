//! What rooms keep in an engine that knows none of them.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
};

/// One value of each type, made when it is first asked for.
#[derive(Default)]
pub(crate) struct Extensions(HashMap<TypeId, Box<dyn Any + Send>>);

impl Extensions {
    pub(crate) fn of<T: Default + Send + 'static>(&mut self) -> &mut T {
        let value = self.0.entry(TypeId::of::<T>()).or_insert_with(|| Box::<T>::default());
        value.downcast_mut().expect("stored under its own type")
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extensions")
    }
}
