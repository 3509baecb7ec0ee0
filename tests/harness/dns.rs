//! A name server that says what a test tells it to: A, AAAA and SRV over UDP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a name stands for.
#[derive(Debug, Clone)]
pub enum Answer {
    Address(IpAddr),
    Target { priority: u16, weight: u16, port: u16, target: &'static str },
}

/// TTL in seconds, and the records; None: the server fails.
type Records = Option<(u32, Vec<Answer>)>;

/// It answers until it is dropped. Names it was not told do not exist.
pub struct Dns {
    pub address: SocketAddr,
    names: Arc<Mutex<HashMap<String, Records>>>,
    asked: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
}

impl Dns {
    pub fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        let dns = Dns { address, names: Arc::default(), asked: Arc::default(), ended: Arc::default() };
        let (names, asked, ended) = (dns.names.clone(), dns.asked.clone(), dns.ended.clone());
        thread::spawn(move || {
            let mut query = [0; 1_500];
            while let Ok((length, caller)) = socket.recv_from(&mut query) {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Some(question) = Question::read(&query[..length]) else { continue };
                asked.lock().expect("no test panics holding it").push(question.name.clone());
                let records = names.lock().expect("no test panics holding it").get(&question.name).cloned();
                let _ = socket.send_to(&question.answer(records), caller);
            }
        });
        dns
    }

    /// The setting that makes a gateway ask it.
    pub fn setting(&self) -> String {
        format!("{{servers: [\"{}\"]}}", self.address)
    }

    /// What a name stands for from now on.
    pub fn says(&self, name: &str, ttl_s: u32, records: impl IntoIterator<Item = Answer>) {
        self.set(name, Some((ttl_s, records.into_iter().collect())));
    }

    /// The same for a host with these addresses.
    pub fn host(&self, name: &str, ttl_s: u32, addresses: &[&str]) {
        let address = |text: &&str| Answer::Address(text.parse().expect("an address"));
        self.says(name, ttl_s, addresses.iter().map(address));
    }

    /// Questions about a name fail from now on.
    pub fn fails(&self, name: &str) {
        self.set(name, None);
    }

    /// How often a name was asked for.
    pub fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().expect("no test panics holding it");
        asked.iter().filter(|asked| *asked == name).count()
    }

    fn set(&self, name: &str, records: Records) {
        self.names.lock().expect("no test panics holding it").insert(name.to_owned(), records);
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let wake = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"end", self.address));
        let _ = wake; // the server looks up, and leaves
    }
}

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// A query with one question (RFC 1035 section 4).
struct Question<'a> {
    id: &'a [u8],
    /// Name, type and class as they came.
    bytes: &'a [u8],
    /// In lower case, with dots.
    name: String,
    kind: u16,
}

impl<'a> Question<'a> {
    fn read(query: &'a [u8]) -> Option<Question<'a>> {
        let mut at = 12;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*query.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            let label = query.get(at..at + length)?;
            labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
        Some(Question { id: query.get(..2)?, bytes: query.get(12..at + 4)?, name: labels.join("."), kind })
    }

    fn answer(&self, records: Option<Records>) -> Vec<u8> {
        const FAILED: u8 = 2;
        const NO_SUCH_NAME: u8 = 3;
        let (code, ttl_s, records) = match records {
            None => (NO_SUCH_NAME, 0, Vec::new()),
            Some(None) => (FAILED, 0, Vec::new()),
            Some(Some((ttl_s, records))) => (0, ttl_s, records),
        };
        let data: Vec<Vec<u8>> = records.iter().filter_map(|record| self.data(record)).collect();
        let mut answer = [self.id, &[0x81, 0x80 | code, 0, 1]].concat();
        answer.extend((data.len() as u16).to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(self.bytes);
        for data in data {
            answer.extend([0xc0, 12]); // the name in the question
            answer.extend(self.kind.to_be_bytes());
            answer.extend([0, 1]);
            answer.extend(ttl_s.to_be_bytes());
            answer.extend((data.len() as u16).to_be_bytes());
            answer.extend(data);
        }
        answer
    }

    /// The record, if it is of the kind that is asked for.
    fn data(&self, record: &Answer) -> Option<Vec<u8>> {
        match (self.kind, record) {
            (A, Answer::Address(IpAddr::V4(v4))) => Some(v4.octets().to_vec()),
            (AAAA, Answer::Address(IpAddr::V6(v6))) => Some(v6.octets().to_vec()),
            (SRV, Answer::Target { priority, weight, port, target }) => {
                let mut data: Vec<u8> =
                    [priority, weight, port].iter().flat_map(|n| n.to_be_bytes()).collect();
                for label in target.split('.') {
                    data.push(label.len() as u8);
                    data.extend(label.as_bytes());
                }
                data.push(0);
                Some(data)
            }
            _ => None,
        }
    }
}
