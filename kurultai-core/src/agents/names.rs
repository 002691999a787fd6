//! Who is meant by a name.

use super::types::AgentInfo;
use crate::{
    error::{Error, Result},
    ids,
};

pub(super) fn find<'a>(agents: &'a [AgentInfo], name: &str) -> Result<&'a AgentInfo> {
    let folded = ids::fold(name);
    let called =
        |a: &AgentInfo, is: &dyn Fn(&str) -> bool| is(&a.display_name) || a.aliases.iter().any(|x| is(x));
    let by_id = agents.iter().position(|a| a.id == name);
    let exact = || agents.iter().position(|a| called(a, &|own| ids::is_same_name(own, name)));
    let alike = || agents.iter().position(|a| a.id == folded || called(a, &|own| ids::fold(own) == folded));
    match by_id.or_else(exact).or_else(alike) {
        Some(at) => Ok(&agents[at]),
        None => Err(not_found(name, agents)),
    }
}

/// `agent.not_found`, with the nearest id or name.
pub(crate) fn not_found(name: &str, agents: &[AgentInfo]) -> Error {
    let names = agents.iter().flat_map(|a| {
        let all = [&a.id, &a.display_name].into_iter().chain(&a.aliases);
        all.map(|name| (name.as_str(), a.id.as_str()))
    });
    Error::agent_not_found(name, ids::nearest(name, names))
}
