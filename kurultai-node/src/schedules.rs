//! The room `schedules`: a method for each operation of the core's handle, in its order.

use crate::{
    answer::answer,
    args::{maybe_date, maybe_millis, word},
    bridge::{Calls, Now},
    new_task::NewTaskArgs,
};
use kurultai_core::{
    self as core, Result,
    schedules::{CatchUp, NewSchedule},
};
use napi_derive::napi;
use serde::Deserialize;
use std::sync::Arc;

#[napi]
#[derive(Debug)]
pub struct Schedules {
    calls: Arc<Calls>,
    schedules: core::Schedules,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScheduleArgs {
    name: String,
    task: NewTaskArgs,
    every_ms: Option<f64>,
    cron: Option<String>,
    timezone: Option<String>,
    catch_up: Option<String>,
    overlap: Option<String>,
    jitter_ms: Option<f64>,
    start: Option<f64>,
}

impl ScheduleArgs {
    fn schedule(self) -> Result<NewSchedule> {
        Ok(NewSchedule {
            name: self.name,
            task: self.task.task()?,
            every: maybe_millis("everyMs", self.every_ms)?,
            cron: self.cron,
            timezone: self.timezone.unwrap_or_else(|| "UTC".to_owned()),
            start: maybe_date("start", self.start)?,
            catch_up: word(self.catch_up)?.unwrap_or(CatchUp::One),
            overlap: word(self.overlap)?,
            jitter: maybe_millis("jitterMs", self.jitter_ms)?.unwrap_or_default(),
        })
    }
}

impl Schedules {
    pub(crate) fn new(calls: Arc<Calls>, schedules: core::Schedules) -> Self {
        Schedules { calls, schedules }
    }
}

#[napi]
impl Schedules {
    #[napi(catch_unwind)]
    pub fn put(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.schedules, &args, |schedules, args: ScheduleArgs| async move {
            answer(&schedules.put(args.schedule()?).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn list(&self, call: u32) -> Now {
        let schedules = self.schedules.clone();
        self.calls.start(call, async move { answer(&schedules.list().await?) })
    }

    #[napi(catch_unwind)]
    pub fn get(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.schedules, &args, |schedules, name: String| async move {
            answer(&schedules.get(&name).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn pause(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.schedules, &args, |schedules, name: String| async move {
            answer(&schedules.pause(&name).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn unpause(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.schedules, &args, |schedules, name: String| async move {
            answer(&schedules.unpause(&name).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn remove(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.schedules, &args, |schedules, name: String| async move {
            answer(&schedules.remove(&name).await?)
        })
    }

    #[napi(catch_unwind)]
    pub fn run_now(&self, call: u32, args: String) -> Now {
        self.calls.run(call, &self.schedules, &args, |schedules, name: String| async move {
            answer(&schedules.run_now(&name).await?)
        })
    }
}
