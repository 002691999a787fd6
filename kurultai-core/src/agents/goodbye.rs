//! What a sidecar says at its end.

use super::{contract::Beat, handle::Agents};
use crate::{error::Result, ids};

impl Agents {
    /// What a sidecar that ends says of those for whom it has beaten: each has stopped, unless another process speaks for
    /// it.
    #[doc(hidden)]
    pub async fn say_goodbye(&self, agents: &[&str]) -> Result<Vec<String>> {
        let beat = |name: &&str| Ok(Beat { agent: ids::agent(name)?, create: None, last: true });
        self.write_beats(agents, agents.iter().map(beat).collect::<Result<_>>()?).await
    }
}
