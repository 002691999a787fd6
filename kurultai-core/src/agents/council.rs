use super::types::NewAgent;

/// The six agents of the first team: a preset, never a constant of the core.
pub fn council() -> Vec<NewAgent> {
    let agent = |id: &str, name: &str, alias: &str, role: &str, capabilities: &[&str]| NewAgent {
        role: Some(role.to_owned()),
        ..NewAgent::new(id).display_name(name).aliases([alias]).capabilities(capabilities.iter().copied())
    };
    vec![
        agent("kublai", "Kublai", "main", "router", &["orchestration", "routing", "synthesis"]),
        agent("mongke", "Möngke", "researcher", "research", &["research", "web_search", "api_analysis"]),
        agent("chagatai", "Chagatai", "writer", "writing", &["writing", "documentation", "content"]),
        agent("temujin", "Temüjin", "developer", "development", &["development", "coding", "implementation"]),
        agent("jochi", "Jochi", "analyst", "analysis", &["analysis", "security", "testing", "audit"]),
        agent("ogedei", "Ögedei", "ops", "operations", &["operations", "monitoring", "health_check"]),
    ]
}
