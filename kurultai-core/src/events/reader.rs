//! The one reader of the log for everybody in this process who waits for an event: it reads each event once and hands
//! it out in memory, so that what is sent to the store does not grow with those who wait.

use super::{
    contract::SubscriptionManager,
    cursor::check_cursor,
    subscriptions::filter::Conditions,
    topic::Pattern,
    types::{Event, EventFilter, EventPage},
};
use crate::{
    clock::monotonic,
    error::{Error, Result},
    news::News,
    store::Pulse,
    upkeep::{TICK, Upkeep},
};
use async_trait::async_trait;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How many events are kept for readers who come back for the next ones.
const RECENT: usize = 4_096;
/// How long the reader goes on when nobody waits any more: whoever follows the log comes back soon.
const LINGER: Duration = Duration::from_secs(2);
/// How many events one look reads.
const PAGE: usize = 1_000;

/// A commit of which only a part can be seen is whole in a moment.
const MOMENT: Duration = Duration::from_millis(5);

pub(crate) struct LogReader {
    log: Arc<dyn SubscriptionManager>,
    news: Arc<News>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Every event up to here was handed out; `None` while nobody waits.
    at: Option<i64>,
    /// The newest events up to `at`, without a gap.
    recent: VecDeque<Event>,
    /// Who waits for events of one task, and everybody else.
    by_task: HashMap<String, Vec<Waiter>>,
    others: Vec<Waiter>,
    left: Option<Instant>,
    last_id: u64,
}

struct Waiter {
    id: u64,
    wanted: Wanted,
    found: Vec<Event>,
    reply: oneshot::Sender<Result<EventPage>>,
}

/// Which events a reader waits for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(super) filter: EventFilter,
    pub(super) pattern: Option<Pattern>,
    /// None for any.
    pub(super) topics: &'static [&'static str],
    pub(super) conditions: Option<Arc<Conditions>>,
}

impl Wanted {
    pub(super) fn fits(&self, event: &Event) -> bool {
        let EventFilter { after_seq, source, task_id, task_type, since, .. } = &self.filter;
        event.seq > *after_seq
            && task_id.as_ref().is_none_or(|id| event.task_id.as_ref() == Some(id))
            && task_type.as_ref().is_none_or(|kind| event.task_type.as_ref() == Some(kind))
            && source.as_ref().is_none_or(|source| event.source.as_ref() == Some(source))
            && since.is_none_or(|since| event.created_at >= since)
            && (self.topics.is_empty() || self.topics.contains(&event.topic.as_str()))
            && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(&event.topic))
            && self.conditions.as_ref().is_none_or(|conditions| conditions.hold(event))
    }

    /// The page that these events are, where every one up to `looked_to` was looked at.
    fn page(&self, events: Vec<Event>, looked_to: i64) -> EventPage {
        let next = match events.last() {
            Some(last) if events.len() == self.filter.limit => last.seq,
            _ => looked_to,
        };
        EventPage { events, next }
    }

    /// Goes on behind the page.
    pub(super) fn turn(&mut self, page: EventPage) -> EventPage {
        self.filter.after_seq = page.next;
        page
    }
}

/// What there is for somebody who begins to wait.
pub(super) enum Joined {
    /// These have been read already.
    Found(EventPage),
    /// They will come.
    Waits(Ticket),
    /// The reader is beyond what it still remembers: look at the store first.
    TooFarBack,
    /// Nothing comes any more.
    Closed,
}

/// A place among those who wait; dropped, it is given up.
pub(super) struct Ticket {
    reader: Arc<LogReader>,
    id: u64,
    task_id: Option<String>,
    answer: oneshot::Receiver<Result<EventPage>>,
}

impl Ticket {
    /// The next events that match, or an empty page where there is no such one in time: none up to its end does. Cancel
    /// safe.
    pub(super) async fn page(&mut self, deadline: Instant) -> Result<EventPage> {
        match tokio::time::timeout_at(deadline.into(), &mut self.answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(Error::closed())),
            Err(_) => {
                let next = self.reader.withdraw(self.id, self.task_id.as_deref());
                // It may have come since.
                self.answer.try_recv().unwrap_or(Ok(EventPage { events: vec![], next }))
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.reader.leave(self.id, self.task_id.as_deref());
    }
}

impl LogReader {
    pub(crate) fn new(log: Arc<dyn SubscriptionManager>, news: Arc<News>) -> Arc<Self> {
        Arc::new(LogReader { log, news, state: Mutex::default() })
    }

    /// Waits for what comes after `wanted.filter.after_seq`, and moves that on over what is known not to match. `looked`:
    /// the caller has just seen that the store has nothing more.
    pub(super) fn join(self: &Arc<Self>, wanted: &mut Wanted, looked: bool) -> Joined {
        let mut state = self.state();
        if self.news.is_closed() {
            return Joined::Closed;
        }
        let after = wanted.filter.after_seq;
        match state.at {
            None if looked => state.at = Some(after),
            None => return Joined::TooFarBack,
            Some(at) if at > after => {
                if state.recent.front().is_none_or(|oldest| oldest.seq > after + 1) {
                    return Joined::TooFarBack;
                }
                let fitting = state.recent.iter().filter(|event| wanted.fits(event));
                let found: Vec<Event> = fitting.take(wanted.filter.limit).cloned().collect();
                if !found.is_empty() {
                    return Joined::Found(wanted.page(found, at));
                }
                wanted.filter.after_seq = at;
            }
            Some(_) => {}
        }
        let (reply, answer) = oneshot::channel();
        state.last_id += 1;
        self.news.reader_comes();
        let (id, task_id) = (state.last_id, wanted.filter.task_id.clone());
        let waiter = Waiter { id, wanted: wanted.clone(), found: vec![], reply };
        state.room(task_id.as_deref()).push(waiter);
        Joined::Waits(Ticket { reader: self.clone(), id, task_id, answer })
    }

    /// Up to where everything was handed out, while somebody waits.
    pub(super) fn position(&self) -> Option<i64> {
        self.state().at
    }

    fn leave(&self, id: u64, task_id: Option<&str>) {
        let mut state = self.state();
        if self.news.reader_goes() == 0 {
            state.left = Some(monotonic());
        }
        let room = state.room(task_id);
        if let Some(place) = room.iter().position(|waiter| waiter.id == id) {
            room.swap_remove(place);
        }
        if room.is_empty()
            && let Some(task_id) = task_id
        {
            state.by_task.remove(task_id);
        }
    }

    /// Nothing is handed to this waiter any more. Returns up to where everything was.
    fn withdraw(&self, id: u64, task_id: Option<&str>) -> i64 {
        let mut state = self.state();
        let room = state.room(task_id);
        let place = room.iter().position(|waiter| waiter.id == id);
        let after = place.map_or(0, |place| room.swap_remove(place).wanted.filter.after_seq);
        state.at.unwrap_or(after).max(after)
    }

    /// Whether there are events up to `newest` that were not handed out.
    fn lacks(&self, newest: i64) -> bool {
        self.state().position(self.news.has_readers()).is_some_and(|at| at < newest)
    }

    /// Reads on and hands out, as far as events can be seen. `None` where nobody has waited for a while; otherwise
    /// whether a commit is under way of which a part could not be seen yet.
    async fn read_on(&self) -> Result<Option<bool>> {
        loop {
            let Some(after_seq) = self.state().position(self.news.has_readers()) else { return Ok(None) };
            let filter = EventFilter { after_seq, limit: PAGE, ..EventFilter::default() };
            let look = self.log.read(filter).await?;
            let ends = look.events.len() < PAGE || look.looked_to == after_seq;
            self.hand_out(look.events, look.looked_to, look.first);
            if ends {
                return Ok(Some(look.newest > look.looked_to));
            }
        }
    }

    fn hand_out(&self, events: Vec<Event>, looked_to: i64, first: i64) {
        let mut state = self.state();
        let too_old = |waiter: &Waiter| check_cursor(waiter.wanted.filter.after_seq, first).is_err();
        if state.at.is_some_and(|at| at + 1 < first) {
            state.recent.clear();
            state
                .answer_all(too_old, looked_to, |waiter| check_cursor(waiter.wanted.filter.after_seq, first));
        }
        for event in &events {
            state.offer(event);
        }
        state.answer_all(|waiter| !waiter.found.is_empty(), looked_to, |_| Ok(()));
        state.at = Some(looked_to);
        let surplus = (state.recent.len() + events.len()).saturating_sub(RECENT);
        let surplus = surplus.min(state.recent.len());
        state.recent.drain(..surplus);
        state.recent.extend(events);
    }

    /// The store was closed: nothing comes any more.
    pub(crate) fn close(&self) {
        self.state().answer_all(|_| true, 0, |_| Err(Error::closed()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Upkeep for LogReader {
    async fn look(&self, pulse: &Pulse) -> Result<Duration> {
        let again = if self.lacks(pulse.event_seq) { self.hand_on().await? } else { None };
        Ok(again.unwrap_or(TICK))
    }

    async fn hand_on(&self) -> Result<Option<Duration>> {
        let is_torn = self.read_on().await? == Some(true);
        Ok(is_torn.then_some(MOMENT))
    }
}

impl State {
    fn room(&mut self, task_id: Option<&str>) -> &mut Vec<Waiter> {
        match task_id {
            Some(id) => self.by_task.entry(id.to_owned()).or_default(),
            None => &mut self.others,
        }
    }

    /// From where to read on; forgets everything where nobody has waited for a while.
    fn position(&mut self, is_awaited: bool) -> Option<i64> {
        if !is_awaited && self.left.is_none_or(|left| left.elapsed() > LINGER) {
            self.at = None;
            self.recent.clear();
        }
        self.at
    }

    fn offer(&mut self, event: &Event) {
        let of_task = event.task_id.as_ref().and_then(|id| self.by_task.get_mut(id));
        for waiter in of_task.into_iter().flatten().chain(&mut self.others) {
            if waiter.found.len() < waiter.wanted.filter.limit && waiter.wanted.fits(event) {
                waiter.found.push(event.clone());
            }
        }
    }

    /// Answers those whom `whom` names with what they found up to `looked_to`, or with an error.
    fn answer_all(
        &mut self,
        whom: impl Fn(&Waiter) -> bool,
        looked_to: i64,
        verdict: impl Fn(&Waiter) -> Result<()>,
    ) {
        let rooms = self.by_task.values_mut().chain([&mut self.others]);
        for waiter in rooms.flat_map(|room| room.extract_if(.., |waiter| whom(waiter))) {
            let answer = verdict(&waiter).map(|()| waiter.wanted.page(waiter.found, looked_to));
            drop(waiter.reply.send(answer));
        }
        self.by_task.retain(|_, room| !room.is_empty());
    }
}

impl fmt::Debug for LogReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogReader").field("at", &self.state().at).finish_non_exhaustive()
    }
}
