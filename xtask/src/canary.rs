//! G12 over the whole suite: every secret that a test has put into a key file, and the server's password, are looked for in
//! all that was printed and in all that was left: databases with their logs, log files, the server's own.
//!
//! The suite runs in a process of its own whose output is kept while it is shown, and its tests work in a folder from which
//! nothing is removed (`keep.c`). What a passing test of Rust prints the harness swallows, so it is not seen here.

mod needles;

use crate::process::{Result, run};
use crate::server::Server;
use crate::{root, target};
use needles::{Needles, secret_of};
use std::env;
use std::fs::{self, File};
use std::io::{IsTerminal, Read, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;
use xtask::server::CANARY;

/// What one run leaves.
#[derive(Debug)]
pub(crate) struct Canary {
    folder: PathBuf,
}

impl Canary {
    /// The one that this process is part of.
    pub(crate) fn of_this_run() -> Option<Self> {
        env::var_os(CANARY).map(|folder| Canary { folder: folder.into() })
    }

    /// Only Linux has what keeps the files.
    pub(crate) fn is_possible() -> bool {
        cfg!(target_os = "linux")
    }

    /// Runs `cargo xtask test` as a part of it.
    pub(crate) fn run(args: &[String]) -> Result<()> {
        let canary = Canary { folder: target().join("canary") };
        fs::remove_dir_all(&canary.folder).ok();
        for folder in ["tmp", "removed"] {
            fs::create_dir_all(canary.folder.join(folder))?;
        }
        let library = canary.folder.join("keep.so");
        let cc = || Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
        run(cc().args(["-O1", "-shared", "-fPIC", "-o"]).arg(&library).arg(root().join("xtask/keep.c")))?;
        let mut suite = Command::new(env::current_exe()?);
        suite.arg("test").args(args).env(CANARY, &canary.folder);
        if stdout().is_terminal() {
            suite.env("CARGO_TERM_COLOR", "always");
        }
        let mut suite = suite.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let printed = File::create(canary.printed())?;
        let (out, err) = (suite.stdout.take().ok_or("no output")?, suite.stderr.take().ok_or("no errors")?);
        let (shown, kept) = (printed.try_clone()?, printed);
        let out = thread::spawn(move || copy(out, stdout(), shown));
        copy(err, stderr(), kept)?;
        out.join().map_err(|_| "the copy of what is printed panicked")??;
        if suite.wait()?.success() {
            fs::remove_dir_all(&canary.folder).ok();
            return Ok(());
        }
        Err(format!("what the tests have left is in {}", canary.folder.display()).into())
    }

    fn printed(&self) -> PathBuf {
        self.folder.join("printed.log")
    }

    /// The last step. Ends the server, so that all that it has is in its files.
    pub(crate) fn search(&self, server: Option<&mut Server>) -> Result<()> {
        // What was printed before this is on its way through a pipe.
        let announced = |text: &[u8]| text.windows(9).any(|line| line == b"== canary");
        while !announced(&fs::read(self.printed())?) {
            thread::sleep(Duration::from_millis(10));
        }
        let mut places = vec![self.printed(), self.folder.join("tmp"), self.folder.join("removed")];
        let mut known = vec![];
        if let Some(own) = server.and_then(|server| server.end().transpose()).transpose()? {
            places.push(own.home.clone());
            known.push((own.home, own.password.into_bytes()));
        }
        let found = look(&places, known)?;
        println!("{found}");
        found.verdict()
    }
}

fn copy(mut from: impl Read, mut to: impl Write, mut kept: File) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        kept.write_all(&buffer[..read])?;
        to.write_all(&buffer[..read])?;
        to.flush()?;
    }
}

/// What a search has come upon.
#[derive(Debug, Default)]
struct Found {
    secrets: usize,
    files: usize,
    databases: usize,
    bytes: usize,
    /// Where a secret is, and whose it is.
    hits: Vec<(PathBuf, PathBuf)>,
}

/// `known` are secrets that no key file has, each with where it comes from. A program may have them: the tests write the
/// server's URL into those of RECIPES.md.
fn look(places: &[PathBuf], known: Vec<(PathBuf, Vec<u8>)>) -> Result<Found> {
    let mut files = vec![];
    for place in places {
        walk(place, &mut files)?;
    }
    let first_key = known.len();
    let (mut secrets, mut others) = (known, vec![]);
    for file in files {
        match small(&file)? {
            Some(text) if is_key_file(&text) => {
                secrets.extend(secret_of(&String::from_utf8_lossy(&text)).map(|secret| (file, secret)));
            }
            _ => others.push(file),
        }
    }
    let (owners, secrets): (Vec<_>, Vec<_>) = secrets.into_iter().unzip();
    let needles = Needles::of(&secrets);
    let mut found = Found { secrets: secrets.len(), files: others.len(), ..Found::default() };
    let workers = thread::available_parallelism()?.get();
    let search = |first| -> Result<Vec<_>> {
        others.iter().skip(first).step_by(workers).map(|file| searched(file, &needles)).collect()
    };
    let parts = thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|first| scope.spawn(move || search(first))).collect();
        running
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("panicked".into())))
            .collect::<Vec<_>>()
    });
    for (first, part) in parts.into_iter().enumerate() {
        let files = others.iter().skip(first).step_by(workers);
        for (file, (bytes, is_database, hits)) in files.zip(part?) {
            found.bytes += bytes;
            found.databases += usize::from(is_database);
            let hits = hits.into_iter().filter(|secret| *secret >= first_key || !is_program(file));
            found.hits.extend(hits.map(|secret| (file.clone(), owners[secret].clone())));
        }
    }
    Ok(found)
}

/// How large it is, whether it is a database, and which secrets it has.
fn searched(file: &Path, needles: &Needles) -> Result<(usize, bool, Vec<usize>)> {
    let text = fs::read(file)?;
    Ok((text.len(), text.starts_with(b"SQLite format 3\0"), needles.hits(&text)))
}

/// Of Python or JavaScript, or as Vitest keeps it, under its hash.
fn is_program(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_hash = |name: &str| name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.ends_with(".py") || name.ends_with(".mjs") || name.rsplit('-').next().is_some_and(is_hash)
}

fn walk(place: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let kind = fs::symlink_metadata(place)?.file_type();
    if kind.is_file() {
        files.push(place.to_owned());
    } else if kind.is_dir() {
        for entry in fs::read_dir(place)? {
            walk(&entry?.path(), files)?;
        }
    }
    Ok(())
}

fn small(file: &Path) -> Result<Option<Vec<u8>>> {
    Ok(if fs::metadata(file)?.len() > 1_024 { None } else { Some(fs::read(file)?) })
}

/// One line of text: a secret may be in it, also where the test is that the file is no good.
fn is_key_file(text: &[u8]) -> bool {
    let is_line = |text: &str| !text.is_empty() && !text.contains(char::is_control);
    std::str::from_utf8(text).is_ok_and(|text| is_line(text.trim_end()))
}

impl Found {
    fn verdict(&self) -> Result<()> {
        if self.secrets == 0 || self.databases == 0 || self.bytes == 0 {
            return Err(format!("nothing to look for, or nowhere: {self}").into());
        }
        let said = |(place, owner): &(PathBuf, PathBuf)| {
            format!("{} has the secret of {}", place.display(), owner.display())
        };
        let hits: Vec<_> = self.hits.iter().map(said).collect();
        if hits.is_empty() { Ok(()) } else { Err(hits.join("\n").into()) }
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Found { secrets, files, databases, bytes, hits } = self;
        let megabytes = *bytes as f64 / 1e6;
        write!(
            f,
            "{secrets} secrets in {files} files ({databases} databases, {megabytes:.0} MB): {} hits",
            hits.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte of each value would be found by accident.
    const SECRET: [u8; 32] = *b"no accident has these 32 bytes.\xff";

    fn planted(name: &str, text: &[u8]) -> Found {
        // Not among what the tests leave, which is searched.
        let folder = target().join(format!("canary-planted-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("deeper")).unwrap();
        let key = format!("{{\"agent\":\"jochi\",\"secret\":\"{}\"}}\n", needles::base64url(&SECRET));
        fs::write(folder.join("jochi.key"), key).unwrap();
        fs::write(folder.join("wrong.key"), needles::base64url(&SECRET) + "=").unwrap();
        fs::write(folder.join("team.db"), b"SQLite format 3\0 and nothing else").unwrap();
        fs::write(folder.join("deeper").join(name), text).unwrap();
        let known = vec![(PathBuf::from("the server"), b"the server's own password".to_vec())];
        let found = look(std::slice::from_ref(&folder), known).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        found
    }

    #[test]
    fn a_planted_secret_is_found_in_every_form() {
        for (name, form) in needles::forms(&SECRET).into_iter().enumerate() {
            let text = [&[0; 4_099][..], &form, b"\0tail"].concat();
            let found = planted(&format!("{name}-wal"), &text);
            let [(place, owner)] = &found.hits[..] else { panic!("form {name}: {:?}", found.hits) };
            assert!(place.ends_with(format!("deeper/{name}-wal")) && owner.ends_with("jochi.key"));
            let said = found.verdict().unwrap_err().to_string();
            assert!(
                said.contains("jochi.key")
                    && !needles::Needles::of(&[SECRET.to_vec()]).is_in(said.as_bytes())
            );
        }
        let found = planted("password.log", b"first\nneo4j://neo4j:the server's own password@localhost");
        assert_eq!(found.hits[0].1, Path::new("the server"));
        let program = |text: &[u8]| planted("recipe.py", &[b"open(\n", text].concat()).hits.len();
        assert_eq!(program(b"'neo4j://neo4j:the server's own password@localhost'"), 0);
        assert_eq!(program(&SECRET), 1);
    }

    #[test]
    fn what_holds_no_secret_is_passed_and_what_searches_nothing_is_not() {
        let found = planted("innocent.log", &[b"first\n", &SECRET[..12]].concat());
        assert_eq!((found.secrets, found.files, found.databases, found.hits.len()), (2, 2, 1, 0));
        found.verdict().unwrap();
        for nothing in [
            Found { secrets: 0, ..planted("a", b"a\nb") },
            Found { databases: 0, ..planted("b", b"a\nb") },
            Found { bytes: 0, ..planted("c", b"a\nb") },
        ] {
            assert!(nothing.verdict().unwrap_err().to_string().starts_with("nothing to look for"));
        }
    }

    #[test]
    fn a_key_file_is_known_by_what_it_says() {
        let text = needles::base64url(&SECRET);
        assert_eq!(secret_of(&format!("{text}\n")).as_deref(), Some(&SECRET[..]));
        assert_eq!(secret_of(&format!("{{\"secret\": \"{text}\"}}")).as_deref(), Some(&SECRET[..]));
        for other in [
            "",
            "{}",
            "[1]",
            "\"text\"",
            &text[1..],
            &text.replace('n', "="),
            "{\"secret\": 1}",
            &"A".repeat(43),
        ] {
            assert_eq!(secret_of(other), None, "{other}");
        }
    }
}
