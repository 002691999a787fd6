//! What a sidecar says at its end.

use super::handle::Agents;
use crate::error::Result;

impl Agents {
    /// What a sidecar that ends says of those for whom it has beaten: each has stopped, unless another process speaks for
    /// it.
    #[doc(hidden)]
    pub async fn say_goodbye(&self, agents: &[&str]) -> Result<Vec<String>> {
        self.write_beats(agents, false, true).await
    }
}
