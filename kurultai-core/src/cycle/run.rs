//! What happens in a cycle.

use super::{
    share::{Candidate, give},
    text,
    types::{Attention, CycleReport, Delegated, Item},
};
use crate::{
    agents::{AgentHealth, AgentInfo, AgentStatus, HandBack, Health, Lead, Leadership, Term, Thresholds},
    alarm::STOPPED,
    clock::time,
    error::{Kind, Result},
    events::{Alert, AlertState, Severity},
    kurultai::Kurultai,
    messages::{MAX_INBOX, NewMessage},
    tasks::{Filter, Status, Task},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tracing::instrument;

/// The office of who gives tasks to others.
const ROUTER: &str = "router";
/// How many tasks one transaction delegates.
const PORTION: usize = 100;
/// Who has this capability takes the office where nobody holds it.
const ROUTING: &str = "routing";

/// What a team has at the moment.
struct Team {
    agents: Vec<AgentInfo>,
    health: HashMap<String, AgentHealth>,
    pending: Vec<Task>,
}

impl Kurultai {
    /// What an agent does every five minutes. As the holder of the role `router`, or as who takes it for the cycle because
    /// it has the capability `routing` and nobody holds the role: each task that can be claimed and is assigned to nobody
    /// is assigned to the agent that can do it and is the least laden (what it holds and what waits for it, by
    /// `max_concurrent`, or 1; then whose oldest claim is the oldest), and told it by a message of type
    /// `task_delegation`, signed as this agent; so is each agent to whom a task was assigned without a word. Assignment and
    /// message are one transaction, under the router's term, so whatever ends in between, a task is delegated once; and again
    /// where its message has expired or failed and nobody has taken it in. What nobody can do is named, as are agents that
    /// sleep on work, those that are stuck or dead, whose inbox is full, and what burns. During an emergency stop nothing is
    /// given out and nobody is named to be woken: the report is the stop.
    ///
    /// For every other agent it is its own view: its inbox, what it holds and what waits for it.
    ///
    /// A task in progress is always one that somebody has claimed: delegated tasks stay `pending` until their agent claims
    /// them, and who sleeps is woken by the caller ([`CycleReport::asleep`]).
    ///
    /// Errors: `agent.not_found`; `role.held`, naming the router, where it has the capability `routing` and another agent
    /// routes, or does so meanwhile; `role.stale_term` where it lost the role and may not take it; `config.identity` where there is something to tell and
    /// the store is not open as this agent. What was delegated before an error stays so. Cancel safe: a repetition goes
    /// on where a dropped call was.
    #[instrument(level = "debug", skip(self))]
    pub async fn cycle(&self, agent: &str) -> Result<CycleReport> {
        let me = self.agents().get(agent).await?;
        let mut report = self.own_view(&me).await?;
        if let Some(stop) = self.tasks().stopped().await? {
            report.alerts = vec![burns(STOPPED, Severity::Critical, stop.text(), stop.at)];
            (report.text, report.attention) = text::said(&report);
            return Ok(report);
        }
        match self.lead_cycle(&me, &mut report).await {
            // Held when it was looked at, handed back since: by a cycle that was dropped, or one that ran beside this.
            Err(stale) if stale.code() == "role.stale_term" => {
                if !self.lead_cycle(&me, &mut report).await? {
                    return Err(stale);
                }
            }
            led => drop(led?),
        }
        (report.text, report.attention) = text::said(&report);
        Ok(report)
    }

    /// Routes where that is this agent's office. Returns whether it is.
    async fn lead_cycle(&self, me: &AgentInfo, report: &mut CycleReport) -> Result<bool> {
        let (term, taken) = match self.agents().leader(ROUTER).await? {
            Some(lease) if lease.holder == me.id => (Term::from(&lease), None),
            _ if !me.capabilities.iter().any(|capability| capability == ROUTING) => return Ok(false),
            // Where another holds it, the error says who.
            _ => {
                let taken = self.agents().lead(ROUTER, &me.id, Lead::default().reason("for a cycle")).await?;
                (taken.term(), Some(taken))
            }
        };
        let routed = self.route(me, &term, report).await;
        give_back(taken).await;
        routed.map(|()| true)
    }

    async fn own_view(&self, me: &AgentInfo) -> Result<CycleReport> {
        let id = me.id.as_str();
        let held =
            Filter { claimed_by: Some(id.into()), status: Some(Status::InProgress), ..Filter::default() };
        let mut tasks: Vec<Item> = self.all(held).await?.iter().map(Item::from).collect();
        for status in [Status::Pending, Status::Blocked] {
            let waits = Filter { assigned_to: Some(id.into()), status: Some(status), ..Filter::default() };
            tasks.extend(self.all(waits).await?.iter().map(Item::from));
        }
        Ok(CycleReport {
            agent: me.id.clone(),
            term: None,
            text: String::new(),
            attention: Attention::Nothing,
            delegated: vec![],
            stuck: vec![],
            asleep: vec![],
            woken: vec![],
            stale: vec![],
            alerts: vec![],
            inbox: self.messages().unread(Some(id)).await?,
            tasks,
        })
    }

    async fn all(&self, filter: Filter) -> Result<Vec<Task>> {
        let (mut all, mut page) = (vec![], Filter { limit: 1_000, ..filter });
        loop {
            let found = self.tasks().list(page.clone()).await?;
            all.extend(found.tasks);
            page.cursor = found.next;
            if page.cursor.is_none() {
                return Ok(all);
            }
        }
    }

    async fn route(&self, me: &AgentInfo, term: &Term, report: &mut CycleReport) -> Result<()> {
        let health = self.agents().health(None, Thresholds::default()).await?;
        let mut team = Team {
            agents: self.agents().list().await?,
            health: health.into_iter().map(|health| (health.agent.clone(), health)).collect(),
            pending: self.all(Filter { status: Some(Status::Pending), ..Filter::default() }).await?,
        };
        report.term = Some(term.number);
        let full = self.share_out(&mut team, me, term, report).await?;
        let has_work = |agent: &AgentInfo| {
            team.pending.iter().any(|task| task.assigned_to.as_ref() == Some(&agent.id))
                || report.delegated.iter().any(|delegated| delegated.to == agent.id)
        };
        let asleep = team.agents.iter().filter(|agent| agent.id != me.id && team.is_asleep(agent));
        report.asleep = asleep.filter(|agent| has_work(agent)).map(|agent| agent.id.clone()).collect();
        let is_stale = |health: &&AgentHealth| matches!(health.state, Health::Stuck | Health::Dead);
        report.stale = team.health.values().filter(is_stale).cloned().collect();
        report.stale.sort_by(|a, b| a.agent.cmp(&b.agent));
        report.alerts = self.events().alerts().await?;
        let now = time(self.session().config.clock.now());
        let warning = |key: String, text: String| burns(&key, Severity::Warning, text, now);
        report.alerts.extend(full.iter().map(|agent| {
            let text = format!("the inbox of {agent} is full: it cannot be told of its tasks");
            warning(format!("inbox.full:{agent}"), text)
        }));
        report.alerts.extend(team.strangers().into_iter().map(|(agent, tasks)| {
            let tasks = text::tasks(tasks);
            let text = format!("{tasks} assigned to {agent}, whom nobody has registered");
            warning(format!("agent.unknown:{agent}"), text)
        }));
        Ok(())
    }

    /// Gives the others what agents cannot be told of whose inbox is full; these are returned.
    async fn share_out(
        &self,
        team: &mut Team,
        me: &AgentInfo,
        term: &Term,
        report: &mut CycleReport,
    ) -> Result<Vec<String>> {
        let mut full: Vec<String> = vec![];
        loop {
            let (given, stuck) = self.shared(team, me, &full).await?;
            report.stuck = stuck;
            let refused = self.delegate(me, term, given, &mut report.delegated).await?;
            let before = full.len();
            for agent in refused {
                if !full.contains(&agent)
                    && self.messages().unread(Some(&agent)).await?.count >= MAX_INBOX as u64
                {
                    full.push(agent);
                }
            }
            if full.len() == before {
                return Ok(full);
            }
            for Delegated { task, to, .. } in &report.delegated {
                let given = team.pending.iter_mut().find(|pending| pending.id == task.id);
                given.into_iter().for_each(|pending| pending.assigned_to = Some(to.clone()));
            }
        }
    }

    /// Which agent gets which task, and what nobody can do. What is assigned already is given to whom it is assigned.
    async fn shared(
        &self,
        team: &Team,
        me: &AgentInfo,
        full: &[String],
    ) -> Result<(Vec<(Task, String)>, Vec<Item>)> {
        let (mut given, mut stuck) = (vec![], vec![]);
        let mut candidates = team.candidates(me);
        candidates.retain(|candidate| !full.contains(&candidate.id));
        let now = time(self.session().config.clock.now());
        let mut unassigned: Vec<&Task> = vec![];
        for task in &team.pending {
            match &task.assigned_to {
                Some(to) if team.agents.iter().any(|agent| agent.id == *to) => {
                    given.push((task.clone(), to.clone()));
                }
                None if task.run_at.is_none_or(|at| at <= now) => unassigned.push(task),
                _ => {}
            }
        }
        // The most urgent first; among equals they are in the order of their making.
        unassigned.sort_by(|a, b| {
            a.priority.cmp(&b.priority).then_with(|| b.priority_weight.total_cmp(&a.priority_weight))
        });
        for task in unassigned {
            let mut refused: Vec<String> = task.delegated_by.iter().cloned().collect();
            loop {
                let Some(index) = give(&mut candidates, &task.required_capabilities, &refused) else {
                    stuck.push(Item::from(task));
                    break;
                };
                let to = candidates[index].id.clone();
                match self.tasks().may_be_given(task, &to).await {
                    Ok(()) => {
                        given.push((task.clone(), to));
                        break;
                    }
                    Err(error) if error.kind() == Kind::Conflict => {
                        candidates[index].load -= 1;
                        refused.push(to);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok((given, stuck))
    }

    /// Tells each agent of what it is given, and assigns what was assigned to nobody. What was delegated before an error is
    /// in `delegated`; who was not told of what is new is returned.
    async fn delegate(
        &self,
        me: &AgentInfo,
        term: &Term,
        given: Vec<(Task, String)>,
        delegated: &mut Vec<Delegated>,
    ) -> Result<BTreeSet<String>> {
        let keys = given.iter().map(|(task, to)| key(task, to)).collect();
        let told = self.messages().told(keys).await?;
        let is_new = |(task, to): &&(Task, String)| !told.contains(&key(task, to));
        let messages = given.iter().filter(is_new).map(|(task, to)| message(me, task, to)).collect();
        let mut posts = self.messages().sealed(messages).await?.into_iter();
        let new = given.into_iter().map(|(task, to)| {
            let post = if told.contains(&key(&task, &to)) { None } else { posts.next() };
            (task, to, post)
        });
        // What has its word and its agent needs nothing.
        let new: Vec<_> =
            new.filter(|(task, _, post)| post.is_some() || task.assigned_to.is_none()).collect();
        let mut untold = BTreeSet::new();
        for portion in new.chunks(PORTION) {
            let done = self.tasks().delegate(portion, &me.id, term).await?;
            let is_done = |task: &Task| done.iter().any(|(done, _)| done.id == task.id);
            untold.extend(portion.iter().filter(|(task, ..)| !is_done(task)).map(|(_, to, _)| to.clone()));
            delegated.extend(done.into_iter().map(|(task, to)| Delegated {
                task: Item::from(task),
                assigned: task.assigned_to.is_none(),
                to: to.to_owned(),
            }));
        }
        Ok(untold)
    }
}

/// What the report says burns, whether anybody watches or not.
fn burns(key: &str, severity: Severity, text: String, raised_at: DateTime<Utc>) -> Alert {
    Alert { key: key.to_owned(), severity, state: AlertState::Raised, text, raised_at, cleared_at: None }
}

async fn give_back(taken: Option<Leadership>) {
    let Some(taken) = taken else { return };
    if let Err(error) = taken.hand_back(HandBack::default().reason("the cycle is over")).await {
        tracing::warn!(%error, "the role of the router was not handed back; it ends with its lease");
    }
}

/// Of a delegation there is one message that waits or that was taken in, whoever routes: the key is the team's.
fn key(task: &Task, to: &str) -> String {
    format!("task:{}:{to}", task.id)
}

fn message(me: &AgentInfo, task: &Task, to: &str) -> NewMessage {
    let Task { id, task_type, title, description, priority, .. } = task;
    let body = json!({"task_id": id, "type": task_type, "title": title, "description": description, "priority": priority});
    NewMessage {
        sender: Some(me.id.clone()),
        task_id: Some(id.clone()),
        dedupe_key: Some(key(task, to)),
        ..NewMessage::new(to, "task_delegation", body)
    }
}

impl Team {
    /// To whom tasks are assigned that nobody knows, and how many.
    fn strangers(&self) -> BTreeMap<&str, usize> {
        let mut strangers = BTreeMap::new();
        for to in self.pending.iter().filter_map(|task| task.assigned_to.as_deref()) {
            if self.agents.iter().all(|agent| agent.id != to) {
                *strangers.entry(to).or_insert(0) += 1;
            }
        }
        strangers
    }

    /// Who may be given anything: everybody but who drains and who is dead. Who sleeps is woken.
    fn candidates(&self, me: &AgentInfo) -> Vec<Candidate> {
        let is_dead = |id: &str| self.health.get(id).is_some_and(|health| health.state == Health::Dead);
        let may =
            self.agents.iter().filter(|agent| agent.status != AgentStatus::Draining && !is_dead(&agent.id));
        let waits =
            |id: &str| self.pending.iter().filter(|task| task.assigned_to.as_deref() == Some(id)).count();
        may.map(|agent| Candidate {
            id: agent.id.clone(),
            capabilities: agent.capabilities.clone(),
            load: u64::from(agent.current_load) + waits(&agent.id) as u64,
            most: agent.max_concurrent,
            oldest_claim: self.health.get(&agent.id).and_then(|health| {
                health.oldest_claim_age.map(|age| -(age.as_micros().min(i64::MAX as u128) as i64))
            }),
            routes: agent.id == me.id,
        })
        .collect()
    }

    /// Nothing was heard of it for as long as makes others dead, or it has stopped as it said.
    fn is_asleep(&self, agent: &AgentInfo) -> bool {
        let health = self.health.get(&agent.id);
        let heard = health.and_then(|health| health.infra_age.into_iter().chain(health.functional_age).min());
        agent.status == AgentStatus::Offline || heard.is_none_or(|age| age > Thresholds::default().dead_after)
    }
}
