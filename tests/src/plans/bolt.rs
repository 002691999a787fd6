//! As much of Bolt 4.4 as asks a server for a plan, which the driver keeps to itself.

use serde_json::{Map, Value};
use std::{
    io::{Read, Result, Write},
    net::TcpStream,
};
use url::Url;

const HELLO: u8 = 0x01;
const RUN: u8 = 0x10;
const PULL: u8 = 0x3f;
const SUCCESS: u8 = 0x70;

#[derive(Debug)]
pub(super) struct Bolt {
    stream: TcpStream,
    database: String,
}

impl Bolt {
    pub(super) fn connect(server: &Url) -> Result<Bolt> {
        let address = (server.host_str().unwrap_or_default(), server.port().unwrap_or(7687));
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(&[0x60, 0x60, 0xb0, 0x17, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
        let mut version = [0; 4];
        stream.read_exact(&mut version)?;
        assert_eq!(version, [0, 0, 4, 4], "the server's version of Bolt");
        let mut bolt = Bolt { stream, database: server.path().trim_start_matches('/').to_owned() };
        let user = text(server.username());
        let password = text(server.password().unwrap_or_default());
        let login = map(&[
            ("user_agent", text("kurultai-tests")),
            ("scheme", text("basic")),
            ("principal", user),
            ("credentials", password),
        ]);
        bolt.ask(HELLO, &[login])?;
        Ok(bolt)
    }

    pub(super) fn plan(&mut self, statement: &str, parameters: &[(&str, Vec<u8>)]) -> Result<Value> {
        let database = map(&[("db", text(&self.database))]);
        self.ask(RUN, &[text(statement), map(parameters), database])?;
        let all = vec![0xff];
        Ok(self.ask(PULL, &[map(&[("n", all)])])?["plan"].take())
    }

    fn ask(&mut self, message: u8, fields: &[Vec<u8>]) -> Result<Value> {
        let mut bytes = vec![0xb0 + fields.len() as u8, message];
        fields.iter().for_each(|field| bytes.extend(field));
        let mut framed = (bytes.len() as u16).to_be_bytes().to_vec();
        framed.extend(bytes);
        framed.extend([0, 0]);
        self.stream.write_all(&framed)?;
        let mut answer = Vec::new();
        loop {
            let mut size = [0; 2];
            self.stream.read_exact(&mut size)?;
            let size = u16::from_be_bytes(size) as usize;
            if size == 0 && !answer.is_empty() {
                break;
            }
            let start = answer.len();
            answer.resize(start + size, 0);
            self.stream.read_exact(&mut answer[start..])?;
        }
        let value = Reader(&answer[2..]).value();
        assert_eq!(answer[1], SUCCESS, "{value}");
        Ok(value)
    }
}

pub(super) const NULL: [u8; 1] = [0xc0];
pub(super) const ONE: [u8; 1] = [0x01];
pub(super) const NO_ROWS: [u8; 1] = [0x90];

pub(super) fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0xd1];
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

fn map(fields: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![0xd8, fields.len() as u8];
    for (key, value) in fields {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}

/// PackStream without bytes and structures.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn number(&mut self, size: usize) -> u64 {
        let (number, rest) = self.0.split_at(size);
        self.0 = rest;
        number.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn value(&mut self) -> Value {
        let marker = self.number(1) as u8;
        let small = usize::from(marker & 0x0f);
        match marker {
            0x80..=0x8f => self.text(small),
            0x90..=0x9f => self.list(small),
            0xa0..=0xaf => self.map(small),
            0xc0 => Value::Null,
            0xc1 => f64::from_bits(self.number(8)).into(),
            0xc2 | 0xc3 => Value::Bool(marker == 0xc3),
            0xc8 => (self.number(1) as i8).into(),
            0xc9 => (self.number(2) as i16).into(),
            0xca => (self.number(4) as i32).into(),
            0xcb => (self.number(8) as i64).into(),
            0xd0..=0xd2 => self.sized(marker - 0xd0, Self::text),
            0xd4..=0xd6 => self.sized(marker - 0xd4, Self::list),
            0xd8..=0xda => self.sized(marker - 0xd8, Self::map),
            tiny => (tiny as i8).into(),
        }
    }

    fn sized(&mut self, power: u8, read: fn(&mut Self, usize) -> Value) -> Value {
        let size = self.number(1 << power) as usize;
        read(self, size)
    }

    fn text(&mut self, size: usize) -> Value {
        let (text, rest) = self.0.split_at(size);
        self.0 = rest;
        String::from_utf8_lossy(text).into()
    }

    fn list(&mut self, size: usize) -> Value {
        (0..size).map(|_| self.value()).collect()
    }

    fn map(&mut self, size: usize) -> Value {
        let entry = |_| (self.value().as_str().unwrap_or_default().to_owned(), self.value());
        Value::Object((0..size).map(entry).collect::<Map<_, _>>())
    }
}
