//! Locks beside SQLite's own that no other code in the process can drop.
//!
//! An open-file-description lock (Linux) belongs to an open file, not to the process, and conflicts with the POSIX locks
//! of every SQLite library, also of one in this process. With it nobody takes himself for the last user of the file and
//! removes its log or empties its index while we have it open, and no two of our writers or checkpoints meet in it,
//! whatever became of SQLite's locks. Where there are no such locks, what `files` sees is all there is.
//!
//! To close a file that SQLite has open as well would drop SQLite's locks on it. So a file opened here is kept for the
//! next store that wants it, until the process has none open on it any more.

use super::files::{Id, beside};
use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Bytes of a file: where they begin, and how many.
type Range = (i64, i64);
/// Of the database: whoever has it open holds these for reading; to remove the log one must hold them for writing.
const SHARED: Range = (0x4000_0002, 510);
/// Of the database, after SQLite's own bytes. Held from before a transaction that writes begins, so that what it sees is
/// the newest, until after its commit.
const WRITER: Range = (0x4000_0200, 1);
/// Held during a checkpoint: when another ends, the log may begin anew under this one.
const CHECKPOINT: Range = (0x4000_0201, 1);
/// Of the index (`-shm`): whoever finds it free empties the index.
const IN_USE: Range = (128, 1);
const ALL: Range = (0, 0);

/// Of a database: who uses it, and the files (of it and of its index) that nobody uses just now.
#[derive(Debug, Default)]
struct Known {
    users: usize,
    /// Stores that are on their way: SQLite may have opened the files already.
    opening: usize,
    spare: Vec<(Id, File)>,
}

#[derive(Debug)]
struct Registry(BTreeMap<Id, Known>);

static REGISTRY: Mutex<Registry> = Mutex::new(Registry(BTreeMap::new()));

fn registry() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    /// Closes the files that no store of the process has open.
    fn sweep(&mut self) {
        self.0.retain(|_, known| known.users + known.opening > 0);
    }
}

/// From before SQLite opens a file until the guard stands.
pub(super) struct Opening(Option<Id>);

impl Opening {
    pub(super) fn begin(database: &Path) -> Self {
        // Of a file that is made only now there is nobody else.
        let id = Id::at(database);
        if let Some(id) = id {
            registry().0.entry(id).or_default().opening += 1;
        }
        Opening(id)
    }

    /// Guards a database that SQLite has open.
    pub(super) fn guard(&self, database: &Path) -> Guard {
        let mut guard = Guard { database: Id::at(database), held: vec![], checkpoint: Mutex::default() };
        let Some(id) = guard.database.filter(|_| cfg!(target_os = "linux")) else { return guard };
        let mut registry = registry();
        let known = registry.0.entry(id).or_default();
        known.users += 1;
        for (path, range) in [(database.to_owned(), SHARED), (beside(database, "-shm"), IN_USE)] {
            let Some(file) = known.open(&path) else { break };
            lock(&file, Some(Mode::Read), range);
            guard.held.push(file);
        }
        guard
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut registry = registry();
        if let Some(known) = self.0.and_then(|id| registry.0.get_mut(&id)) {
            known.opening -= 1;
        }
        registry.sweep();
    }
}

impl Known {
    fn open(&mut self, path: &Path) -> Option<File> {
        let id = Id::at(path)?;
        match self.spare.iter().position(|(spare, _)| *spare == id) {
            Some(at) => Some(self.spare.swap_remove(at).1),
            None => File::options().read(true).write(true).open(path).ok(),
        }
    }
}

/// The locks of one store.
#[derive(Debug)]
pub(super) struct Guard {
    database: Option<Id>,
    /// The database and its index.
    held: Vec<File>,
    /// The threads of a store share its files, and so their locks.
    checkpoint: Mutex<()>,
}

impl Guard {
    /// Whether no other store writes. True where that cannot be told.
    pub(super) fn lock_writer(&self) -> bool {
        self.held.first().is_none_or(|database| lock(database, Some(Mode::Write), WRITER))
    }

    pub(super) fn unlock_writer(&self) {
        if let Some(database) = self.held.first() {
            lock(database, None, WRITER);
        }
    }

    /// Runs a checkpoint, if need be after another of this store; `None` where another runs.
    pub(super) fn checkpoint<T>(&self, wait: bool, run: impl FnOnce() -> T) -> Option<T> {
        let alone = if wait { self.checkpoint.lock().ok() } else { self.checkpoint.try_lock().ok() };
        let _alone = alone?;
        let Some(database) = self.held.first() else { return Some(run()) };
        if !lock(database, Some(Mode::Write), CHECKPOINT) {
            return None;
        }
        let done = run();
        lock(database, None, CHECKPOINT);
        Some(done)
    }

    /// Lets go and runs `close`, which may be the last in the process to close the files: that one puts the log away.
    pub(super) fn release(mut self, close: impl FnOnce()) {
        for file in &self.held {
            lock(file, None, ALL);
        }
        let mut registry = registry();
        close();
        self.hand_back(&mut registry);
    }

    fn hand_back(&mut self, registry: &mut Registry) {
        if let Some(known) = self.database.take().and_then(|id| registry.0.get_mut(&id)) {
            known.users = known.users.saturating_sub(1);
            for file in self.held.drain(..) {
                lock(&file, None, ALL);
                if let Ok(found) = file.metadata() {
                    known.spare.push((Id::of(&found), file));
                }
            }
        }
        registry.sweep();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.hand_back(&mut registry());
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Read,
    Write,
}

/// False where another holds the bytes. A file system without such locks is as if nobody did.
#[cfg(target_os = "linux")]
fn lock(file: &File, mode: Option<Mode>, (start, len): Range) -> bool {
    use nix::{
        errno::Errno,
        fcntl::{FcntlArg, fcntl},
        libc,
    };
    let kind = match mode {
        Some(Mode::Read) => libc::F_RDLCK,
        Some(Mode::Write) => libc::F_WRLCK,
        None => libc::F_UNLCK,
    };
    let wanted = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: len,
        l_pid: 0,
    };
    !matches!(fcntl(file, FcntlArg::F_OFD_SETLK(&wanted)), Err(Errno::EAGAIN | Errno::EACCES))
}

#[cfg(not(target_os = "linux"))]
fn lock(_: &File, _: Option<Mode>, _: Range) -> bool {
    true
}
