//! `--on-alert`: a command that is told of each alert.

use crate::{output::remark, text::clean};
use kurultai_core::events::Alert;
use std::{process::Stdio, time::Duration};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// What takes longer is ended.
const LONGEST: Duration = Duration::from_secs(30);

/// Runs it by the shell, beside the watch: the text on its stdin, the rest in its environment. That it fails is said, and
/// nothing else.
pub(crate) fn tell(command: &str, alert: &Alert) {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    shell.env("KURULTAI_ALERT_KEY", &alert.key);
    shell.env("KURULTAI_ALERT_SEVERITY", alert.severity.as_str());
    shell.env("KURULTAI_ALERT_STATE", alert.state.as_str());
    let (key, text) = (alert.key.clone(), format!("{}\n", clean(&alert.text)));
    tokio::spawn(async move {
        let failed = match timeout(LONGEST, run(shell, &text)).await {
            Ok(Ok(status)) if status.success() => return,
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it took longer than {} s", LONGEST.as_secs()),
        };
        remark(&format!("the command of --on-alert failed with {}: {failed}", clean(&key)));
    });
}

async fn run(mut shell: Command, text: &str) -> std::io::Result<std::process::ExitStatus> {
    let mut child = shell.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever reads nothing of it may have read enough.
        drop(stdin.write_all(text.as_bytes()).await);
    }
    child.wait().await
}
