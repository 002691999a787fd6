//! `--on-alert`: a command that is told of each alert.

use crate::{output::remark, shell, text::clean};
use kurultai_core::events::Alert;

/// Runs it by the shell, beside the watch: the text on its stdin, the rest in its environment. That it fails is said, and
/// nothing else.
pub(crate) fn tell(command: &str, alert: &Alert) {
    let (command, text) = (command.to_owned(), format!("{}\n", clean(&alert.text)));
    let Alert { key, severity, state, .. } = alert.clone();
    tokio::spawn(async move {
        let variables = [
            ("KURULTAI_ALERT_KEY", key.as_str()),
            ("KURULTAI_ALERT_SEVERITY", severity.as_str()),
            ("KURULTAI_ALERT_STATE", state.as_str()),
        ];
        if let Err(why) = shell::run(&command, &variables, &text).await {
            remark(&format!("the command of --on-alert failed with {}: {why}", clean(&key)));
        }
    });
}
