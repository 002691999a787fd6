//! Messages for an agent at work. `job`: one delivery, and what its handler may do; `held`: how that ends; `ended`: what a
//! handler's end means; `fetch`: the loop from which they are pulled; `handlers`: functions for message types; `report`: what
//! became of deliveries; `incoming`: the inbox in the middle of a task.

mod ended;
mod fetch;
mod handlers;
mod held;
mod incoming;
mod job;
mod report;

pub(super) use ended::check;
pub use ended::{MESSAGE_TIMEOUT, MessageLimits};
pub(super) use fetch::fetch;
pub(super) use handlers::{MessageHandlers, Run as RunMessage};
pub(super) use held::HeldMessage;
pub use incoming::{Incoming, IncomingGuard};
pub use job::{MessageContext, MessageJob};
pub(super) use report::MessageListener;
pub use report::{MessageEnd, MessageReport};
