//! Legacy envelopes through the door: verified with a key that the team keeps, and admitted.

use crate::{Result, signing};
use futures::future::join_all;
use kurultai_core::{
    Config, Kurultai,
    clock::monotonic,
    messages::{
        KeyImport,
        legacy::{self, LegacyKey},
        wrap::WrappingKey,
    },
};

const CALLERS: usize = 64;
const EACH: usize = 20;

pub(crate) async fn accept(url: &str, namespace: &str) -> Result {
    let config = Config::new(url)?.namespace(namespace)?.wrapping_key(WrappingKey::generate()?);
    let team = Kurultai::open_with(config).await?;
    let secret = "k".repeat(64);
    let row = serde_json::json!([{"agent_id": "Kublai", "key_id": "kublai-001", "secret_key": secret}]);
    let rows = KeyImport { rows: Some(row.to_string().into()), ..KeyImport::default() };
    team.keys().import_rows(rows).await?;
    let key = LegacyKey::new("Kublai", "kublai-001", secret);
    let envelope = |caller: usize, i: usize| {
        let mut body = signing::body();
        body["task_id"] = format!("{caller}-{i}").into();
        legacy::sign_message(&body.to_string(), &key, signing::now().into())
    };
    let signed = |caller| (0..EACH).map(|i| envelope(caller, i)).collect::<kurultai_core::Result<Vec<_>>>();
    let all = (0..CALLERS).map(signed).collect::<kurultai_core::Result<Vec<_>>>()?;
    let messages = team.messages();
    let begun = monotonic();
    let callers = all.iter().map(async |envelopes| {
        for envelope in envelopes {
            messages.accept(envelope).await?;
        }
        Ok::<_, kurultai_core::Error>(())
    });
    join_all(callers).await.into_iter().collect::<kurultai_core::Result<Vec<_>>>()?;
    let rate = (CALLERS * EACH) as f64 / begun.elapsed().as_secs_f64();
    println!("  accept of a legacy envelope, {CALLERS} callers: {rate:.0} a second");
    team.close().await;
    Ok(())
}
