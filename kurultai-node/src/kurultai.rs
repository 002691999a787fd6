//! The door: one team's store, opened and closed.

use crate::{
    agents::{Agents, thresholds},
    answer::answer,
    args::{date, maybe_millis, millis, present, read, whole},
    bridge::{Bridge, Calls, Now},
    events::Events,
    failure::Failure,
    identity::Identity,
    jobs::Jobs,
    keys::Keys,
    messages::Messages,
    new_task::RetryArgs,
    schedules::Schedules,
    tasks::{AdoptArgs, Tasks},
    wrapping_key::WrappingKey,
};
use kurultai_bridge::lock;
use kurultai_core::{
    Clock, Config, Error, Kurultai, ManualClock, Result, Verify,
    config::{Retention, TaskDefaults},
    messages,
};
use napi_derive::napi;
use serde::Deserialize;
use std::sync::{Arc, Mutex, OnceLock};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OpenArgs {
    url: Option<String>,
    namespace: Option<String>,
    min_version: Option<f64>,
    migrate: Option<bool>,
    background: Option<bool>,
    task_defaults: Option<TaskDefaultsArgs>,
    retention: Option<RetentionArgs>,
    #[serde(default, deserialize_with = "present")]
    aging_ms: Option<Option<f64>>,
    max_depth: Option<f64>,
    /// Milliseconds since 1970 of a clock that only `advance` moves.
    clock: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TaskDefaultsArgs {
    max_attempts: Option<f64>,
    max_snoozes: Option<f64>,
    /// `null` lets tasks wait for ever.
    #[serde(default, deserialize_with = "present")]
    expires_in_ms: Option<Option<f64>>,
    lease_ms: Option<f64>,
    retry: Option<RetryArgs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RetentionArgs {
    tasks_ms: Option<f64>,
    events_ms: Option<f64>,
    messages_ms: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerifyArgs {
    strict: Option<bool>,
    dead_after_ms: Option<f64>,
    stuck_after_ms: Option<f64>,
}

impl VerifyArgs {
    fn verify(&self) -> Result<Verify> {
        let thresholds = thresholds(self.dead_after_ms, self.stuck_after_ms)?;
        Ok(Verify { strict: self.strict.unwrap_or_default(), thresholds })
    }
}

impl OpenArgs {
    fn config(self, clock: &OnceLock<ManualClock>) -> Result<Config> {
        let OpenArgs {
            url,
            namespace,
            min_version,
            migrate,
            background,
            task_defaults,
            retention,
            aging_ms,
            max_depth,
            clock: now,
        } = self;
        let mut config = url.as_deref().map_or_else(Config::from_env, Config::new)?;
        if let Some(namespace) = namespace {
            config = config.namespace(&namespace)?;
        }
        if let Some(version) = min_version {
            config = config.min_version(u8::try_from(whole("minVersion", version)?).unwrap_or(u8::MAX))?;
        }
        if let Some(migrate) = migrate {
            config = config.migrate(migrate);
        }
        if let Some(background) = background {
            config = config.background(background);
        }
        if let Some(defaults) = task_defaults {
            config = config.task_defaults(defaults.over(TaskDefaults::from_env()?)?);
        }
        if let Some(RetentionArgs { tasks_ms, events_ms, messages_ms }) = retention {
            config = config.retention(Retention {
                tasks: maybe_millis("retention.tasksMs", tasks_ms)?,
                events: maybe_millis("retention.eventsMs", events_ms)?,
                messages: maybe_millis("retention.messagesMs", messages_ms)?,
            });
        }
        if let Some(aging) = aging_ms {
            config = config.aging(maybe_millis("agingMs", aging)?);
        }
        if let Some(most) = max_depth {
            config = config.max_depth(whole("maxDepth", most)?);
        }
        if let Some(now) = now {
            let now = date("clock", now)?;
            config = config.clock(Clock::Manual(clock.get_or_init(|| ManualClock::at(now)).clone()));
        }
        Ok(config)
    }
}

impl TaskDefaultsArgs {
    fn over(self, defaults: TaskDefaults) -> Result<TaskDefaults> {
        let TaskDefaults { max_attempts, max_snoozes, expires_in, lease, retry } = defaults;
        Ok(TaskDefaults {
            max_attempts: match self.max_attempts {
                Some(given) => whole("taskDefaults.maxAttempts", given)?,
                None => max_attempts,
            },
            max_snoozes: match self.max_snoozes {
                Some(given) => whole("taskDefaults.maxSnoozes", given)?,
                None => max_snoozes,
            },
            expires_in: match self.expires_in_ms {
                Some(given) => maybe_millis("taskDefaults.expiresInMs", given)?,
                None => expires_in,
            },
            lease: maybe_millis("taskDefaults.leaseMs", self.lease_ms)?.unwrap_or(lease),
            retry: self.retry.map(RetryArgs::policy).transpose()?.unwrap_or(retry),
        })
    }
}

/// A team; `open` comes first.
#[napi]
#[derive(Debug)]
pub struct Team {
    calls: Arc<Calls>,
    opened: Arc<OnceLock<Kurultai>>,
    clock: Arc<OnceLock<ManualClock>>,
    /// Until it is opened.
    identities: Mutex<Vec<messages::Identity>>,
    /// Until it is opened.
    wrapping_keys: Mutex<Vec<Arc<messages::wrap::WrappingKey>>>,
}

#[napi]
impl Team {
    #[napi(constructor, catch_unwind)]
    pub fn new(bridge: &Bridge) -> Self {
        Team {
            calls: bridge.calls.clone(),
            opened: Arc::default(),
            clock: Arc::default(),
            identities: Mutex::default(),
            wrapping_keys: Mutex::default(),
        }
    }

    /// One whom it will speak for; before `open`.
    #[napi(catch_unwind)]
    pub fn identify(&self, identity: &Identity) -> Option<Failure> {
        match identity.identity() {
            Ok(identity) => lock(&self.identities).push(identity),
            Err(error) => return Some((&error).into()),
        }
        None
    }

    /// One that opens what the store keeps, the first of which wraps; before `open`.
    #[napi(catch_unwind)]
    pub fn unlock(&self, key: &WrappingKey) {
        lock(&self.wrapping_keys).push(key.key.clone());
    }

    #[napi(catch_unwind)]
    pub fn open(&self, call: u32, args: String) -> Now {
        let (opened, clock) = (self.opened.clone(), self.clock.clone());
        let identities = std::mem::take(&mut *lock(&self.identities));
        let wrapping_keys = std::mem::take(&mut *lock(&self.wrapping_keys));
        self.calls.start(call, async move {
            let config = read::<OpenArgs>(&args)?.config(&clock)?;
            let config = identities.into_iter().fold(config, Config::identity);
            let config = wrapping_keys.into_iter().fold(config, Config::wrapping_key);
            opened.set(Kurultai::open_with(config).await?).map_err(|_| Error::internal("opened twice"))?;
            answer(&())
        })
    }

    #[napi(catch_unwind)]
    pub fn close(&self, call: u32) -> Now {
        let opened = self.opened.clone();
        self.calls.start(call, async move {
            if let Some(kurultai) = opened.get() {
                kurultai.clone().close().await;
            }
            answer(&())
        })
    }

    #[napi(catch_unwind)]
    pub fn maintain(&self, call: u32) -> napi::Result<Now> {
        let kurultai = self.kurultai()?.clone();
        Ok(self.calls.start(call, async move { answer(&kurultai.maintain().await?) }))
    }

    #[napi(catch_unwind)]
    pub fn adopt(&self, call: u32, args: String) -> napi::Result<Now> {
        let kurultai = self.kurultai()?.clone();
        Ok(match read::<AdoptArgs>(&args) {
            Ok(args) => self.calls.start(call, async move { answer(&kurultai.adopt(args.options()).await?) }),
            Err(error) => Calls::refuse(&error),
        })
    }

    #[napi(catch_unwind)]
    pub fn verify(&self, call: u32, args: String) -> napi::Result<Now> {
        let kurultai = self.kurultai()?.clone();
        Ok(self.calls.start(call, async move {
            let verify = read::<VerifyArgs>(&args)?.verify()?;
            answer(&kurultai.verify(verify).await?)
        }))
    }

    #[napi(catch_unwind)]
    pub fn cycle(&self, call: u32, agent: String) -> napi::Result<Now> {
        let kurultai = self.kurultai()?.clone();
        Ok(self.calls.start(call, async move { answer(&kurultai.cycle(&agent).await?) }))
    }

    #[napi(catch_unwind)]
    pub fn namespaces(&self, call: u32) -> napi::Result<Now> {
        let kurultai = self.kurultai()?.clone();
        Ok(self.calls.start(call, async move { answer(&kurultai.namespaces().await?) }))
    }

    #[napi(catch_unwind)]
    pub fn delete_namespace(&self, call: u32, name: String) -> napi::Result<Now> {
        let kurultai = self.kurultai()?.clone();
        Ok(self.calls.start(call, async move { answer(&kurultai.delete_namespace(&name).await?) }))
    }

    #[napi(catch_unwind)]
    pub fn tasks(&self) -> napi::Result<Tasks> {
        Ok(Tasks::new(self.calls.clone(), self.kurultai()?.tasks()))
    }

    #[napi(catch_unwind)]
    pub fn agents(&self) -> napi::Result<Agents> {
        Ok(Agents::new(self.calls.clone(), self.kurultai()?.agents()))
    }

    #[napi(catch_unwind)]
    pub fn schedules(&self) -> napi::Result<Schedules> {
        Ok(Schedules::new(self.calls.clone(), self.kurultai()?.schedules()))
    }

    #[napi(catch_unwind)]
    pub fn messages(&self) -> napi::Result<Messages> {
        Ok(Messages::new(self.calls.clone(), self.kurultai()?.messages()))
    }

    #[napi(catch_unwind)]
    pub fn keys(&self) -> napi::Result<Keys> {
        Ok(Keys::new(self.calls.clone(), self.kurultai()?.keys()))
    }

    #[napi(catch_unwind)]
    pub fn events(&self) -> napi::Result<Events> {
        Ok(Events::new(self.calls.clone(), self.kurultai()?.events()))
    }

    /// The jobs of an agent that is yet to be started.
    #[napi(catch_unwind)]
    pub fn jobs(&self) -> napi::Result<Jobs> {
        Ok(Jobs::new(self.calls.clone(), self.kurultai()?.clone()))
    }

    #[napi(catch_unwind)]
    pub fn namespace(&self) -> napi::Result<String> {
        Ok(self.kurultai()?.namespace().to_owned())
    }

    #[napi(catch_unwind)]
    pub fn store_name(&self) -> napi::Result<String> {
        Ok(self.kurultai()?.store_name().to_owned())
    }

    #[napi(catch_unwind)]
    pub fn statements(&self) -> napi::Result<f64> {
        Ok(self.kurultai()?.statements() as f64)
    }

    /// Moves the clock that was given to `open`.
    #[napi(catch_unwind)]
    pub fn advance(&self, by_ms: f64) -> napi::Result<()> {
        let by = millis("byMs", by_ms).map_err(|e| napi::Error::from_reason(e.message()))?;
        let clock = self.clock.get().ok_or_else(|| napi::Error::from_reason("no manual clock was given"))?;
        clock.advance(by);
        Ok(())
    }

    fn kurultai(&self) -> napi::Result<&Kurultai> {
        self.opened.get().ok_or_else(|| napi::Error::from_reason("not open yet"))
    }
}

/// A new task id: a UUIDv7, sortable by the time it was made.
#[napi(catch_unwind)]
pub(crate) fn new_id() -> String {
    kurultai_core::ids::new_id()
}

/// The version that the package must have.
#[napi(catch_unwind)]
pub(crate) fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
