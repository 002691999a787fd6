//! `kurultai migrate`.

use crate::{
    Place,
    output::{Done, say, say_json},
};
use kurultai_core::Kurultai;

#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// Also take over tasks and agents that other programs wrote under the same names
    #[arg(long)]
    adopt: bool,
}

impl Migrate {
    pub(crate) async fn run(&self, place: &Place) -> Done {
        let found = Kurultai::open_with(place.config()?.migrate(false).background(false)).await;
        let (kurultai, applied) = match found {
            Ok(kurultai) => (kurultai, false),
            Err(error) if error.code() == "store.schema_older" => {
                (Kurultai::open_with(place.config()?.background(false)).await?, true)
            }
            Err(error) => return Err(error.into()),
        };
        let adopted = if self.adopt { Some(kurultai.tasks().adopt().await?) } else { None };
        let store = kurultai.store_name();
        kurultai.close().await;
        if place.json {
            return say_json(&serde_json::json!({"store": store, "applied": applied, "adopted": adopted}));
        }
        say(if applied { "the schema was brought up to date" } else { "the schema is up to date" })?;
        match adopted {
            Some(adopted) => say(format!("{adopted} tasks and agents were taken over")),
            None => Ok(()),
        }
    }
}
